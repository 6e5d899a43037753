package main

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/hashicorp/memberlist"
	"ringman.test/console"
)

// delegate is the peer's application: metadata and state to tell others, and a console for what it hears.
type delegate struct {
	console   *console.Console
	userState []byte

	mutex sync.Mutex
	meta  []byte
}

func (d *delegate) setMeta(meta string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.meta = []byte(meta)
}

func userState(sizeBytes int) []byte {
	state := make([]byte, sizeBytes)
	for i := range state {
		state[i] = byte(i)
	}
	return state
}

func (d *delegate) NodeMeta(int) []byte {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.meta
}

func (d *delegate) NotifyMsg(message []byte) {
	d.console.Notice("message", map[string]any{"text": string(message)})
}

func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

func (d *delegate) LocalState(bool) []byte { return d.userState }

func (d *delegate) MergeRemoteState(state []byte, join bool) {
	sum := sha256.Sum256(state)
	d.console.Notice("state", map[string]any{
		"sizeBytes": len(state), "sha256": hex.EncodeToString(sum[:]), "join": join,
	})
}

func (d *delegate) NotifyJoin(node *memberlist.Node)   { d.console.Event("join", member(node)) }
func (d *delegate) NotifyLeave(node *memberlist.Node)  { d.console.Event("leave", gone(node)) }
func (d *delegate) NotifyUpdate(node *memberlist.Node) { d.console.Event("update", member(node)) }

// member shows a node that is listed. The library lists the alive and the suspect alike, without telling which.
func member(node *memberlist.Node) console.Member {
	return console.Member{
		Name:    node.Name,
		Address: node.Addr.String(),
		Port:    node.Port,
		Meta:    string(node.Meta),
		State:   "listed",
	}
}

// gone shows a node that was dead or left. The library does not tell which.
func gone(node *memberlist.Node) console.Member {
	shown := member(node)
	shown.State = "gone"
	return shown
}
