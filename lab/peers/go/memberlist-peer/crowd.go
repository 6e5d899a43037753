package main

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/memberlist"
	"ringman.test/console"
)

// crowdInterval slows what the members of a crowd do by themselves: there are hundreds of them in one process.
const crowdInterval = 5 * time.Second

// crowdMember tells its metadata and hears nothing.
type crowdMember struct{ meta []byte }

func (m crowdMember) NodeMeta(int) []byte             { return m.meta }
func (m crowdMember) NotifyMsg([]byte)                {}
func (m crowdMember) GetBroadcasts(_, _ int) [][]byte { return nil }
func (m crowdMember) LocalState(bool) []byte          { return nil }
func (m crowdMember) MergeRemoteState([]byte, bool)   {}

// crowd adds members within this process, on free ports of this peer's address, to make a large cluster cheaply.
// They are named NAME-crowd-1 and so on, live as long as the process, and share its label and keys.
func (p *peer) crowd(command []byte) (any, error) {
	fields, err := console.Fields[struct {
		Count int    `json:"count"`
		Meta  string `json:"meta"`
	}](command)
	if err != nil {
		return nil, err
	}
	self := p.list.LocalNode()
	for i := range fields.Count {
		config := memberlist.DefaultLANConfig()
		config.Name = fmt.Sprintf("%s-crowd-%d", self.Name, i+1)
		config.BindAddr = p.config.BindAddr
		config.BindPort = 0
		config.Label = p.config.Label
		config.Keyring = p.config.Keyring
		config.DelegateProtocolMin = p.config.DelegateProtocolMin
		config.DelegateProtocolMax = p.config.DelegateProtocolMax
		config.DelegateProtocolVersion = p.config.DelegateProtocolVersion
		config.Delegate = crowdMember{meta: []byte(fields.Meta)}
		config.LogOutput = io.Discard
		config.ProbeInterval = crowdInterval
		config.GossipInterval = crowdInterval / 5
		list, err := memberlist.Create(config)
		if err != nil {
			return nil, err
		}
		if _, err := list.Join([]string{self.Address()}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
