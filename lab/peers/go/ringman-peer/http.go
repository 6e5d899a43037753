package main

import (
	"encoding/json"
	"net/http"

	"github.com/Nitro/memberlist"
)

// routes are Go ringman's two look-ups under /hashring: memberlist's list of nodes, and the owner of a key.
func routes(list *memberlist.Memberlist, ring *ring) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hashring/nodes", func(response http.ResponseWriter, _ *http.Request) {
		write(response, list.Members())
	})
	mux.HandleFunc("/hashring/nodes/get", func(response http.ResponseWriter, request *http.Request) {
		key := request.FormValue("key")
		if key == "" {
			http.Error(response, `{"status": "error", "message": "Invalid key"}`, http.StatusNotFound)
			return
		}
		write(response, struct{ Node, Key string }{ring.owner(key), key})
	})
	return mux
}

func write(response http.ResponseWriter, body any) {
	encoded, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	// A reader that has gone away is no concern of ours.
	_, _ = response.Write(encoded)
}
