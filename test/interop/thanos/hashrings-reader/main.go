// Reads a file of hashrings as Thanos Receive does, and says who gets which series.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/thanos-io/thanos/pkg/receive"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb/prompb"
)

type answer struct {
	Error string `json:"error,omitempty"`
	// The endpoints of each hashring, by its name.
	Hashrings map[string][]string `json:"hashrings"`
	// How many of a thousand series each endpoint gets.
	Series map[string]int `json:"series"`
}

func main() {
	told, err := read(os.Args[1], receive.HashringAlgorithm(os.Args[2]))
	if err != nil {
		told.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}

func read(path string, algorithm receive.HashringAlgorithm) (answer, error) {
	told := answer{Hashrings: map[string][]string{}, Series: map[string]int{}}
	content, err := os.ReadFile(path)
	if err != nil {
		return told, err
	}
	config, err := receive.ParseConfig(content)
	if err != nil {
		return told, err
	}
	for _, one := range config {
		for _, endpoint := range one.Endpoints {
			told.Hashrings[one.Hashring] = append(told.Hashrings[one.Hashring], endpoint.Address)
		}
	}
	hashring, err := receive.NewMultiHashring(algorithm, 1, config, nil)
	if err != nil {
		return told, err
	}
	for i := range 1000 {
		series := &prompb.TimeSeries{Labels: []labelpb.ZLabel{{Name: "series", Value: fmt.Sprint(i)}}}
		endpoint, err := hashring.GetN("tenant", series, 0)
		if err != nil {
			return told, err
		}
		told.Series[endpoint.Address]++
	}
	return told, nil
}
