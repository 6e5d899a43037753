package main

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/Nitro/memberlist"
	"github.com/serialx/hashring"
	"ringman.test/console"
)

// metadata is what a Go ringman member says of itself.
type metadata struct {
	ServicePort string
}

// ring follows memberlist's events and keeps the consistent hash ring, as Go ringman does: a member whose
// metadata does not decode is listed but owns nothing, and a change of metadata changes nothing in the ring.
type ring struct {
	console *console.Console
	meta    []byte

	mutex sync.Mutex
	nodes *hashring.HashRing
}

func newRing(out *console.Console, servicePort string) (*ring, error) {
	meta, err := json.Marshal(metadata{ServicePort: servicePort})
	return &ring{console: out, meta: meta, nodes: hashring.New(nil)}, err
}

// owner is the ring key of the node that owns key; empty when there is none.
func (r *ring) owner(key string) string {
	r.mutex.Lock()
	nodes := r.nodes // immutable: each change makes a new one
	r.mutex.Unlock()
	node, _ := nodes.GetNode(key)
	return node
}

// ringKey is the string that is hashed for a member. An IPv6 address stands in it without brackets.
func ringKey(node *memberlist.Node) (string, error) {
	var meta metadata
	if err := json.Unmarshal(node.Meta, &meta); err != nil {
		return "", fmt.Errorf("metadata of %s: %w", node.Name, err)
	}
	return node.Addr.String() + ":" + meta.ServicePort, nil
}

func (r *ring) change(node *memberlist.Node, next func(nodes *hashring.HashRing, key string) *hashring.HashRing) {
	key, err := ringKey(node)
	if err != nil {
		r.console.Notice("refused", map[string]string{"name": node.Name, "reason": err.Error()})
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.nodes = next(r.nodes, key)
}

func (r *ring) NotifyJoin(node *memberlist.Node) {
	r.change(node, (*hashring.HashRing).AddNode)
	r.console.Event("join", member(node, "listed"))
}

func (r *ring) NotifyLeave(node *memberlist.Node) {
	r.change(node, (*hashring.HashRing).RemoveNode)
	r.console.Event("leave", member(node, "gone"))
}

func (r *ring) NotifyUpdate(node *memberlist.Node) {
	r.console.Event("update", member(node, "listed"))
}

func (r *ring) NodeMeta(int) []byte             { return r.meta }
func (r *ring) NotifyMsg([]byte)                {}
func (r *ring) GetBroadcasts(_, _ int) [][]byte { return nil }
func (r *ring) LocalState(bool) []byte          { return nil }
func (r *ring) MergeRemoteState([]byte, bool)   {}

// member shows a node; memberlist does not tell the alive from the suspect, nor the dead from the left.
func member(node *memberlist.Node, state string) console.Member {
	return console.Member{
		Name: node.Name, Address: node.Addr.String(), Port: node.Port, Meta: string(node.Meta), State: state,
	}
}
