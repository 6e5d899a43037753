package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/memberlist"
)

// Settings is the peer's one argument, as JSON. What is left out keeps the preset's value.
type Settings struct {
	Name           string   `json:"name"`
	BindAddress    string   `json:"bindAddress"`
	BindPort       int      `json:"bindPort"` // 0 takes a free one, told in "ready"
	Preset         string   `json:"preset"`   // lan, wan, local
	Meta           string   `json:"meta"`
	Label          string   `json:"label"`
	Keys           []string `json:"keys"` // base64; the first encrypts
	VerifyIncoming *bool    `json:"verifyIncoming"`
	VerifyOutgoing *bool    `json:"verifyOutgoing"`
	Compression    *bool    `json:"compression"`
	UserStateBytes int      `json:"userStateBytes"`
	Timing         Timing   `json:"timing"`
	Join           []string `json:"join"` // joined before "ready"
}

// Timing overrides single values of the preset, in milliseconds; 0 keeps them.
type Timing struct {
	ProbeIntervalMs   int `json:"probeIntervalMs"`
	DeadNodeReclaimMs int `json:"deadNodeReclaimMs"`
}

func (s Settings) config() (*memberlist.Config, error) {
	if s.Name == "" || s.BindAddress == "" {
		return nil, fmt.Errorf("name and bindAddress are needed")
	}
	config, err := preset(s.Preset)
	if err != nil {
		return nil, err
	}
	config.Name = s.Name
	config.BindAddr = s.BindAddress
	config.BindPort = s.BindPort
	config.AdvertisePort = s.BindPort
	config.Label = s.Label
	config.LogOutput = os.Stderr
	override(&config.GossipVerifyIncoming, s.VerifyIncoming)
	override(&config.GossipVerifyOutgoing, s.VerifyOutgoing)
	override(&config.EnableCompression, s.Compression)
	s.Timing.apply(config)
	config.Keyring, err = keyring(s.Keys)
	return config, err
}

func preset(name string) (*memberlist.Config, error) {
	switch name {
	case "lan", "":
		return memberlist.DefaultLANConfig(), nil
	case "wan":
		return memberlist.DefaultWANConfig(), nil
	case "local":
		return memberlist.DefaultLocalConfig(), nil
	default:
		return nil, fmt.Errorf("unknown preset %q: lan, wan or local", name)
	}
}

func (t Timing) apply(config *memberlist.Config) {
	if t.ProbeIntervalMs != 0 {
		config.ProbeInterval = time.Duration(t.ProbeIntervalMs) * time.Millisecond
	}
	if t.DeadNodeReclaimMs != 0 {
		config.DeadNodeReclaimTime = time.Duration(t.DeadNodeReclaimMs) * time.Millisecond
	}
}

func keyring(encoded []string) (*memberlist.Keyring, error) {
	if len(encoded) == 0 {
		return nil, nil
	}
	keys := make([][]byte, len(encoded))
	for i, text := range encoded {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys[i] = key
	}
	return memberlist.NewKeyring(keys, keys[0])
}

func override[T any](target *T, value *T) {
	if value != nil {
		*target = *value
	}
}
