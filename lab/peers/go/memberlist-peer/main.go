// Command memberlist-peer is a member of a HashiCorp memberlist cluster that a test drives; see package console.
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/memberlist"
	"ringman.test/console"
)

// broadcastTimeout is how long leave and update-meta wait for the news to be sent.
const broadcastTimeout = 10 * time.Second

func main() {
	if len(os.Args) != 2 {
		console.Fail(fmt.Errorf("usage: memberlist-peer SETTINGS-AS-JSON"))
	}
	var settings Settings
	if err := console.Strict([]byte(os.Args[1]), &settings); err != nil {
		console.Fail(fmt.Errorf("settings: %w", err))
	}
	if err := run(settings); err != nil {
		console.Fail(err)
	}
}

func run(settings Settings) error {
	config, err := settings.config()
	if err != nil {
		return err
	}
	out := console.New(os.Stdout)
	own := &delegate{console: out, userState: userState(settings.UserStateBytes)}
	own.setMeta(settings.Meta)
	config.Delegate = own
	config.Events = own
	list, err := memberlist.Create(config)
	if err != nil {
		return err
	}
	if len(settings.Join) > 0 {
		if _, err := list.Join(settings.Join); err != nil {
			return err
		}
	}
	self := list.LocalNode()
	out.Notice("ready", map[string]any{
		"name": self.Name, "address": self.Addr.String(), "port": self.Port, "pid": os.Getpid(),
	})
	peer := &peer{list: list, keyring: config.Keyring, delegate: own}
	return out.Serve(os.Stdin, map[string]console.Handler{
		"join":        peer.join,
		"leave":       peer.leave,
		"members":     peer.members,
		"update-meta": peer.updateMeta,
		"keyring":     peer.changeKeyring,
		"send":        peer.send,
		"quit":        func([]byte) (any, error) { os.Exit(0); return nil, nil },
	})
}

type peer struct {
	list     *memberlist.Memberlist
	keyring  *memberlist.Keyring
	delegate *delegate
}

func (p *peer) join(command []byte) (any, error) {
	fields, err := console.Fields[struct {
		Addresses []string `json:"addresses"`
	}](command)
	if err != nil {
		return nil, err
	}
	joined, err := p.list.Join(fields.Addresses)
	return map[string]int{"joined": joined}, err
}

func (p *peer) leave([]byte) (any, error) {
	return nil, p.list.Leave(broadcastTimeout)
}

func (p *peer) members([]byte) (any, error) {
	shown := []console.Member{}
	for _, node := range p.list.Members() {
		shown = append(shown, member(node))
	}
	return map[string]any{"members": shown}, nil
}

func (p *peer) updateMeta(command []byte) (any, error) {
	fields, err := console.Fields[struct {
		Meta string `json:"meta"`
	}](command)
	if err != nil {
		return nil, err
	}
	if len(fields.Meta) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("metadata has %d bytes; at most %d are allowed", len(fields.Meta), memberlist.MetaMaxSize)
	}
	p.delegate.setMeta(fields.Meta)
	return nil, p.list.UpdateNode(broadcastTimeout)
}

func (p *peer) changeKeyring(command []byte) (any, error) {
	fields, err := console.Fields[struct {
		Action string `json:"action"`
		Key    string `json:"key"`
	}](command)
	if err != nil {
		return nil, err
	}
	if p.keyring == nil {
		return nil, fmt.Errorf("this peer was started without keys")
	}
	key, err := base64.StdEncoding.DecodeString(fields.Key)
	if err != nil {
		return nil, err
	}
	switch fields.Action {
	case "add":
		return nil, p.keyring.AddKey(key)
	case "use":
		return nil, p.keyring.UseKey(key)
	case "remove":
		return nil, p.keyring.RemoveKey(key)
	default:
		return nil, fmt.Errorf("unknown keyring action %q: add, use or remove", fields.Action)
	}
}

// send sends a user message to one member, over TCP if reliable, else over UDP.
func (p *peer) send(command []byte) (any, error) {
	fields, err := console.Fields[struct {
		To       string `json:"to"`
		Text     string `json:"text"`
		Reliable bool   `json:"reliable"`
	}](command)
	if err != nil {
		return nil, err
	}
	for _, node := range p.list.Members() {
		if node.Name != fields.To {
			continue
		}
		if fields.Reliable {
			return nil, p.list.SendReliable(node, []byte(fields.Text))
		}
		return nil, p.list.SendBestEffort(node, []byte(fields.Text))
	}
	return nil, fmt.Errorf("no member is named %q", fields.To)
}
