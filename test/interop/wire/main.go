// Command wire records what hashicorp/memberlist writes: it runs members in one process, on a network of its own
// that loses what the script says, and prints golden vectors for ringman's codecs as JSON.
//
//	cd test/interop/wire && go run . > ../../golden/memberlist-vectors.json
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// setup is how the members of one run are configured.
type setup struct {
	Name       string   `json:"name"`
	Label      string   `json:"label"`
	Keys       []string `json:"keys"`
	Protocol   uint8    `json:"protocol"`
	Compress   bool     `json:"compress"`
	ips        []string
	manyNodes  int // introduced at the end, for long push/pulls
	largeUser  bool
	errorReply bool
}

// vector is a recording with how to read it and what it says.
type vector struct {
	Setup string `json:"setup"`
	Proto string `json:"proto"`
	Role  string `json:"role,omitempty"`
	Hex   string `json:"hex"`
	Msg   object `json:"msg"`
}

const (
	key16 = "000102030405060708090a0b0c0d0e0f"
	key24 = key16 + "1011121314151617"
	key32 = key24 + "18191a1b1c1d1e1f"
)

var v4 = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}

var setups = []setup{
	{Name: "plain", Protocol: 5, ips: v4, manyNodes: 200, largeUser: true},
	{Name: "plain-compressed", Protocol: 2, Compress: true, ips: v4, manyNodes: 60, largeUser: true},
	{Name: "ipv6", Protocol: 2, ips: []string{"fd00::1", "fd00::2", "fd00::3"}},
	{Name: "label", Protocol: 2, Label: "blue", ips: v4},
	{Name: "label-255-compressed", Protocol: 2, Label: strings.Repeat("é", 127) + "x", Compress: true, ips: v4},
	{Name: "v1-16", Protocol: 2, Keys: []string{key16}, ips: v4, errorReply: true},
	{Name: "v1-24", Protocol: 3, Keys: []string{key24}, ips: v4},
	{Name: "v1-32", Protocol: 5, Keys: []string{key32, key16}, ips: v4},
	{Name: "v1-16-label", Protocol: 2, Keys: []string{key16}, Label: "blue", ips: v4, errorReply: true},
	{Name: "v1-32-label-compressed", Protocol: 5, Keys: []string{key32}, Label: "blue", Compress: true, ips: v4, errorReply: true},
	{Name: "v0-16", Protocol: 1, Keys: []string{key16}, ips: v4},
	{Name: "v0-24-label", Protocol: 1, Keys: []string{key24}, Label: "blue", ips: v4},
	{Name: "v0-32-compressed", Protocol: 1, Keys: []string{key32}, Compress: true, ips: v4},
	{Name: "v0-32-label-compressed", Protocol: 1, Keys: []string{key32}, Label: "blue", Compress: true, ips: v4},
}

const port = 7946

// application is the delegate of a member: small, fixed answers.
type application struct{ name string }

func (a application) NodeMeta(int) []byte                                        { return []byte(`{"ServicePort":"8000"}`) }
func (a application) NotifyMsg([]byte)                                           {}
func (a application) GetBroadcasts(int, int) [][]byte                            { return nil }
func (a application) LocalState(join bool) []byte                                { return []byte("state of " + a.name) }
func (a application) MergeRemoteState([]byte, bool)                              {}
func (a application) AckPayload() []byte                                         { return []byte("payload of " + a.name) }
func (a application) NotifyPingComplete(*memberlist.Node, time.Duration, []byte) {}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (s setup) keys() [][]byte {
	var keys [][]byte
	for _, text := range s.Keys {
		key, err := hex.DecodeString(text)
		must(err)
		keys = append(keys, key)
	}
	return keys
}

// start starts member number i. The first has an application, the others do not: their metadata and payloads are nil.
func (s setup) start(n *network, i int) (*memberlist.Memberlist, *endpoint) {
	endpoint := n.open(s.ips[i], port)
	config := memberlist.DefaultLANConfig()
	config.Name = fmt.Sprintf("node%d", i+1)
	config.Transport = endpoint
	config.BindPort = port
	config.AdvertisePort = port
	config.ProtocolVersion = s.Protocol
	config.EnableCompression = s.Compress
	config.Label = s.Label
	config.LogOutput = io.Discard
	config.ProbeInterval = 100 * time.Millisecond
	config.ProbeTimeout = 30 * time.Millisecond
	config.GossipInterval = 20 * time.Millisecond
	config.PushPullInterval = 0
	config.SuspicionMult = 2
	config.SuspicionMaxTimeoutMult = 1
	if keys := s.keys(); len(keys) > 0 {
		keyring, err := memberlist.NewKeyring(keys, keys[0])
		must(err)
		config.Keyring = keyring
	}
	if i == 0 {
		config.Delegate = application{config.Name}
		config.Ping = application{config.Name}
	}
	list, err := memberlist.Create(config)
	must(err)
	return list, endpoint
}

// run lets three members meet, talk, lose each other and part, and returns what they sent.
func (s setup) run() []recording {
	n := newNetwork()
	one, oneEnd := s.start(n, 0)
	two, _ := s.start(n, 1)
	_, err := two.Join([]string{oneEnd.address()})
	must(err)
	three, threeEnd := s.start(n, 2)
	_, err = three.Join([]string{oneEnd.address()})
	must(err)
	time.Sleep(300 * time.Millisecond)

	peer := two.LocalNode()
	must(one.SendBestEffort(peer, []byte("by datagram")))
	must(one.SendReliable(peer, []byte("by stream")))
	must(one.SendBestEffort(peer, nil))
	if s.largeUser {
		must(one.SendReliable(peer, bytes.Repeat([]byte("large "), 60)))
	}

	// Datagrams to node3 are lost: indirect probes, nacks, and probes by stream that succeed.
	lossy := func(proto, from, to string) bool { return proto == "udp" && to == threeEnd.address() }
	n.block(lossy)
	time.Sleep(500 * time.Millisecond)
	n.block(func(string, string, string) bool { return false })
	time.Sleep(300 * time.Millisecond)
	must(one.UpdateNode(time.Second))
	must(three.Leave(time.Second))
	must(three.Shutdown())

	// node2 is silent until it is dead.
	must(two.Shutdown())
	n.block(func(_, from, to string) bool { return true })
	time.Sleep(1500 * time.Millisecond)
	n.block(func(string, string, string) bool { return false })

	if s.manyNodes > 0 {
		s.introduce(n, oneEnd)
		four := s
		four.ips = []string{"", "127.0.0.4"}
		late, _ := four.start(n, 1)
		_, err = late.Join([]string{oneEnd.address()})
		must(err)
		must(late.Shutdown())
	}
	if s.errorReply {
		s.provokeError(n, oneEnd)
	}
	must(one.Shutdown())
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.recordings
}

// introduce tells a member of many others that do not exist.
func (s setup) introduce(n *network, to *endpoint) {
	for i := 0; i < s.manyNodes; i++ {
		body := new(bytes.Buffer)
		body.WriteByte(4)
		must(codec.NewEncoder(body, &codec.MsgpackHandle{}).Encode(object{
			"Incarnation": uint32(1) << (i % 32), "Node": fmt.Sprintf("many-%03d", i),
			"Addr": []byte{10, 0, byte(i >> 8), byte(i)}, "Port": uint16(1 + 300*i),
			"Meta": bytes.Repeat([]byte{'m'}, 1+i%40), "Vsn": []byte{1, 5, 2, 0, 0, 0},
		}))
		to.receive(body.Bytes(), to)
	}
	time.Sleep(100 * time.Millisecond)
}

// provokeError sends a plain stream to a member that wants an encrypted one.
func (s setup) provokeError(n *network, to *endpoint) {
	near, far := net.Pipe()
	to.streams <- &recordedConn{Conn: far, network: n, role: "response"}
	if s.Label != "" {
		_, err := near.Write(append([]byte{244, byte(len(s.Label))}, s.Label...))
		must(err)
	}
	_, err := near.Write([]byte{6})
	must(err)
	_, err = io.ReadAll(near)
	must(err)
	must(near.Close())
}

// shape names the kinds of messages in a decoded form, so that a few of each are kept.
func shape(v any) string {
	switch value := v.(type) {
	case []object:
		parts := map[string]bool{}
		for _, part := range value {
			parts[shape(part)] = true
		}
		return "[" + strings.Join(sorted(parts), ",") + "]"
	case object:
		parts := map[string]bool{}
		for name, field := range value {
			switch name {
			case "header", "nodes", "userState":
				continue
			}
			switch field.(type) {
			case object, []object:
				parts[name+shape(field)] = true
			case nil:
				parts[name+"-nil"] = true
			default:
				parts[name] = true
			}
		}
		return "{" + strings.Join(sorted(parts), ",") + "}"
	default:
		return ""
	}
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func libraries() object {
	info, _ := debug.ReadBuildInfo()
	versions := object{"go": runtime.Version()}
	for _, module := range info.Deps {
		if module.Path == "github.com/hashicorp/memberlist" || strings.HasPrefix(module.Path, "github.com/hashicorp/go-msgpack") {
			versions[module.Path] = module.Version
		}
	}
	return versions
}

func main() {
	vectors := []vector{}
	for _, s := range setups {
		seen := map[string]bool{}
		read := reader{label: s.Label, keys: s.keys()}
		for _, r := range s.run() {
			decode := read.stream
			if r.proto == "udp" {
				decode = read.datagram
			}
			msg, err := decode(r.bytes)
			must(err)
			id := r.proto + r.role + shape(msg)
			large := len(r.bytes) > 3000
			if seen[id] && !large {
				continue
			}
			seen[id] = true
			vectors = append(vectors, vector{Setup: s.Name, Proto: r.proto, Role: r.role, Hex: hex.EncodeToString(r.bytes), Msg: msg})
		}
		log.Printf("%s: %d kinds", s.Name, len(seen))
	}
	fmt.Printf("{\n\"note\": %s,\n\"libraries\": %s,\n", compact(note), compact(libraries()))
	printLines("setups", setups, ",")
	printLines("vectors", vectors, ",")
	printLines("integers", integers(), ",")
	printLines("lzw", lzwVectors(), "")
	fmt.Println("}")
}

const note = "Bytes that github.com/hashicorp/memberlist wrote, one of each kind per setup, with a decoded form made by " +
	"the Go standard library and go-msgpack. Made by test/interop/wire (go run .): three members on an in-process network; " +
	"node1 has an application, the others have not. Nonces, times and orders differ from run to run."

// compact encodes a value on one line.
func compact(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(value))
	return strings.TrimSpace(out.String())
}

// printLines prints an array with one element a line, so that a change can be read.
func printLines[T any](name string, values []T, end string) {
	fmt.Printf("%q: [\n", name)
	for i, value := range values {
		separator := ","
		if i == len(values)-1 {
			separator = ""
		}
		fmt.Println(compact(value) + separator)
	}
	fmt.Println("]" + end)
}
