// Command ringman-peer is a member of a Go ringman cluster that a test drives; see package console.
//
// It is put together from what Go ringman (Nitro/ringman 2684f2a) is made of: its fork of memberlist, which adds
// the cluster name to the messages, and its ring library, each at the commit that Go ringman was shipped with.
// The wire, the timing and the ring are therefore theirs. What joins the two, and the two HTTP routes, is our own:
// the module Nitro/ringman itself is not served to `go get`.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/Nitro/memberlist"
	"ringman.test/console"
)

// broadcastTimeout is how long leave waits for the news to be sent.
const broadcastTimeout = 10 * time.Second

// Settings is the peer's one argument, as JSON.
type Settings struct {
	Name        string   `json:"name"`
	BindAddress string   `json:"bindAddress"`
	BindPort    int      `json:"bindPort"`    // 0 takes a free one, told in "ready"
	Preset      string   `json:"preset"`      // lan, wan, local
	ClusterName *string  `json:"clusterName"` // "default" when left out, as in Go ringman
	ServicePort string   `json:"servicePort"`
	HTTPAddress string   `json:"httpAddress"` // host:port; port 0 takes a free one, told in "ready"
	Join        []string `json:"join"`
}

func main() {
	if len(os.Args) != 2 {
		console.Fail(fmt.Errorf("usage: ringman-peer SETTINGS-AS-JSON"))
	}
	var settings Settings
	if err := console.Strict([]byte(os.Args[1]), &settings); err != nil {
		console.Fail(fmt.Errorf("settings: %w", err))
	}
	if err := run(settings); err != nil {
		console.Fail(err)
	}
}

func (s Settings) config() (*memberlist.Config, error) {
	if s.Name == "" || s.BindAddress == "" || s.ServicePort == "" || s.HTTPAddress == "" {
		return nil, fmt.Errorf("name, bindAddress, servicePort and httpAddress are needed")
	}
	presets := map[string]func() *memberlist.Config{
		"":      memberlist.DefaultLANConfig,
		"lan":   memberlist.DefaultLANConfig,
		"wan":   memberlist.DefaultWANConfig,
		"local": memberlist.DefaultLocalConfig,
	}
	preset, known := presets[s.Preset]
	if !known {
		return nil, fmt.Errorf("unknown preset %q: lan, wan or local", s.Preset)
	}
	config := preset()
	config.Name = s.Name
	config.BindAddr = s.BindAddress
	config.BindPort = s.BindPort
	config.AdvertisePort = s.BindPort
	config.ClusterName = "default"
	if s.ClusterName != nil {
		config.ClusterName = *s.ClusterName
	}
	config.LogOutput = os.Stderr
	return config, nil
}

func run(settings Settings) error {
	config, err := settings.config()
	if err != nil {
		return err
	}
	out := console.New(os.Stdout)
	os.Stdout = os.Stderr // the fork prints warnings to what must be the console alone
	ring, err := newRing(out, settings.ServicePort)
	if err != nil {
		return err
	}
	config.Delegate = ring
	config.Events = ring
	list, err := memberlist.Create(config)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.HTTPAddress)
	if err != nil {
		return err
	}
	go func() { console.Fail(http.Serve(listener, routes(list, ring))) }()
	if len(settings.Join) > 0 {
		if _, err := list.Join(settings.Join); err != nil {
			return err
		}
	}
	self := list.LocalNode()
	out.Notice("ready", map[string]any{
		"name": self.Name, "address": self.Addr.String(), "port": self.Port, "pid": os.Getpid(),
		"http": "http://" + listener.Addr().String(),
	})
	return out.Serve(os.Stdin, map[string]console.Handler{
		"join": func(command []byte) (any, error) {
			fields, err := console.Fields[struct {
				Addresses []string `json:"addresses"`
			}](command)
			if err != nil {
				return nil, err
			}
			joined, err := list.Join(fields.Addresses)
			return map[string]int{"joined": joined}, err
		},
		"leave": func([]byte) (any, error) { return nil, list.Leave(broadcastTimeout) },
		"members": func([]byte) (any, error) {
			shown := []console.Member{}
			for _, node := range list.Members() {
				shown = append(shown, member(node, "listed"))
			}
			return map[string]any{"members": shown}, nil
		},
		"quit": func([]byte) (any, error) { os.Exit(0); return nil, nil },
	})
}
