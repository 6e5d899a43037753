package ringman

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

type vectors struct {
	Keys []struct {
		Text, Hex string
		Hash      uint32
	}
	Rings []struct {
		Name      string
		Nodes     []Node
		Digest    string
		Shares    []uint64
		Owner     []int
		Owners3   [][]int
		AllOwners []int
	}
	Moves []struct {
		From, To  string
		Moved     uint64
		Moves     [][3]any
		Stretches [][4]any
	}
}

func readVectors(t *testing.T) (all vectors) {
	t.Helper()
	text, err := os.ReadFile("../../conformance/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func mustRing(t testing.TB, nodes ...Node) *Ring {
	t.Helper()
	ring, err := NewRing(nodes...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// letters makes a node of each letter.
func letters(text string) (nodes []Node) {
	for _, letter := range text {
		nodes = append(nodes, Node{RingKey: string(letter), Weight: 1})
	}
	return nodes
}

func ringKeys(nodes []Node) (keys []string) {
	for _, node := range nodes {
		keys = append(keys, node.RingKey)
	}
	return keys
}

func TestVectors(t *testing.T) {
	all := readVectors(t)
	var keys []string
	for _, key := range all.Keys {
		bytes, err := hex.DecodeString(key.Hex)
		if err != nil {
			t.Fatal(err)
		}
		text := key.Text + string(bytes)
		if hashOf(text) != key.Hash {
			t.Errorf("hash of %q: %d, not %d", text, hashOf(text), key.Hash)
		}
		keys = append(keys, text)
	}
	rings := map[string]*Ring{}
	for _, given := range all.Rings {
		t.Run(given.Name, func(t *testing.T) {
			ring := mustRing(t, given.Nodes...)
			rings[given.Name] = ring
			if ring.Digest() != given.Digest {
				t.Errorf("digest %s, not %s", ring.Digest(), given.Digest)
			}
			shares := ring.Shares()
			for place, node := range given.Nodes {
				if shares[node.RingKey] != float64(given.Shares[place])/Circle {
					t.Errorf("share of %q: %v", node.RingKey, shares[node.RingKey])
				}
			}
			if len(given.Nodes) == 0 {
				return
			}
			named := func(places []int) (keys []string) {
				for _, place := range places {
					keys = append(keys, given.Nodes[place].RingKey)
				}
				return keys
			}
			for at, key := range keys {
				owner, err := ring.Owner(key)
				if err != nil || owner != given.Nodes[given.Owner[at]] {
					t.Errorf("owner of %q: %v, %v", key, owner, err)
				}
				three, err := ring.Owners(key, 3)
				if err != nil || !slices.Equal(ringKeys(three), named(given.Owners3[at])) {
					t.Errorf("owners of %q: %v, %v", key, three, err)
				}
			}
			every, err := ring.Owners(keys[0], math.MaxInt)
			if err != nil || !slices.Equal(ringKeys(every), named(given.AllOwners)) {
				t.Errorf("all owners: %v, %v", every, err)
			}
		})
	}
	for _, given := range all.Moves {
		moved := rings[given.From].MovedTo(rings[given.To])
		if moved.Share() != float64(given.Moved)/Circle {
			t.Errorf("from %q to %q moved %v", given.From, given.To, moved.Share())
		}
		if given.Stretches != nil && len(moved) != len(given.Stretches) {
			t.Errorf("from %q to %q: %d stretches, not %d", given.From, given.To, len(moved), len(given.Stretches))
		}
	}
}

func TestMovedIsWhatLookUpsSay(t *testing.T) {
	before, after := mustRing(t, letters("abc")...), mustRing(t, letters("bcd")...)
	moved := before.MovedTo(after)
	for number := range 2000 {
		key := fmt.Sprint("key-", number)
		from, _ := before.Owner(key)
		to, _ := after.Owner(key)
		stretch, found := moved.Find(key)
		if found != (from != to) || found && (*stretch.From != from || *stretch.To != to) {
			t.Fatalf("%s goes from %v to %v: %v, %v", key, from, to, found, stretch)
		}
	}
	if share := moved.LostBy("a").Share(); share != before.Shares()["a"] {
		t.Errorf("a lost %v", share)
	}
	if share := moved.GainedBy("d").Share(); share != after.Shares()["d"] {
		t.Errorf("d gained %v", share)
	}
	if moved.Contains("") {
		t.Error("the empty key moved")
	}
	if again := before.MovedTo(mustRing(t, before.Nodes()...)); len(again) != 0 {
		t.Errorf("moved to an equal ring: %v", again)
	}
}

func TestPlan(t *testing.T) {
	ring := mustRing(t, letters("abc")...)
	plan, err := ring.Plan(PlanRequest{Leave: []string{"a"}, Join: letters("d"), Reweight: map[string]int64{"b": 3}})
	if err != nil {
		t.Fatal(err)
	}
	next := mustRing(t, Node{RingKey: "b", Weight: 3}, Node{RingKey: "c", Weight: 1}, Node{RingKey: "d", Weight: 1})
	sum := 0.0
	for _, move := range plan.Moves {
		sum += move.Share
	}
	if plan.Before != ring.Digest() || plan.After != next.Digest() || plan.MovedShare != ring.MovedTo(next).Share() || sum != plan.MovedShare {
		t.Errorf("%+v", plan)
	}
	for _, refused := range []PlanRequest{
		{Leave: []string{"a", "a"}},
		{Leave: []string{"z"}},
		{Join: letters("a")},
		{Join: []Node{{RingKey: "d"}}},
		{Leave: []string{"a"}, Join: letters("a")},
		{Reweight: map[string]int64{"z": 1}},
		{Reweight: map[string]int64{"a": 0}},
	} {
		if _, err := ring.Plan(refused); !errors.Is(err, ErrPlanInvalid) {
			t.Errorf("%+v: %v", refused, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	ring := mustRing(t, letters("ab")...)
	for _, refused := range []struct {
		ring *Ring
		key  string
		n    int
		err  error
	}{
		{ring, "", 1, ErrKeyEmpty},
		{ring, "x", 0, ErrNOutOfRange},
		{ring, "x", -1, ErrNOutOfRange},
		{mustRing(t), "x", 1, ErrRingEmpty},
		{&Ring{}, "x", 1, ErrRingEmpty},
	} {
		if _, err := refused.ring.Owners(refused.key, refused.n); !errors.Is(err, refused.err) {
			t.Errorf("%+v: %v", refused, err)
		}
		if _, err := refused.ring.Owner(refused.key); refused.n == 1 && !errors.Is(err, refused.err) {
			t.Errorf("%+v: %v", refused, err)
		}
	}
	for _, node := range []Node{{"", 1, "", "", 0, ""}, {RingKey: "a\nb", Weight: 1}, {RingKey: "\xff", Weight: 1}, {RingKey: "a"}, {RingKey: "a", Weight: 1 << 53}} {
		if _, err := NewRing(node); !errors.Is(err, ErrNodeInvalid) {
			t.Errorf("%+v: %v", node, err)
		}
	}
}

func TestHostPort(t *testing.T) {
	for want, node := range map[string]Node{
		"[2001:db8::1]:80": {Address: "2001:db8::1", Port: 80},
		"[2001:db8::1]":    {Address: "2001:db8::1"},
		"host":             {Address: "host"},
		"10.0.0.1:8000":    {Address: "10.0.0.1", Port: 8000},
	} {
		if got, err := node.HostPort(); got != want || err != nil {
			t.Errorf("%+v: %q, %v", node, got, err)
		}
	}
	for _, node := range []Node{{}, {Address: "user@host"}, {Address: "host/path"}, {Address: "host\r\nX: y"}, {Address: "host", Port: 65536}, {Address: "host", Port: -1}} {
		if got, err := node.HostPort(); !errors.Is(err, ErrNodeInvalid) {
			t.Errorf("%+v: %q, %v", node, got, err)
		}
	}
}

func TestLookUpsAllocateNothing(t *testing.T) {
	ring := mustRing(t, letters("abc")...)
	key := string(make([]byte, 200))
	if count := testing.AllocsPerRun(100, func() { _, _ = ring.Owner(key) }); count != 0 {
		t.Errorf("%v allocations", count)
	}
}

func TestAHashOnAPointBelongsToTheNextOne(t *testing.T) {
	ring := mustRing(t, letters("abc")...)
	for at, point := range ring.points {
		if ring.first(point) != (at+1)%len(ring.points) {
			t.Fatalf("point %d leads to %d", at, ring.first(point))
		}
	}
	hash := uint64(hashOf("user:42"))
	for stretch, within := range map[Stretch]bool{
		{Start: hash, End: hash + 1}:     true,
		{Start: hash - 1, End: hash}:     false,
		{Start: hash + 1, End: hash + 2}: false,
		{End: Circle}:                    true,
	} {
		if (Moved{stretch}).Contains("user:42") != within {
			t.Errorf("%d is in %v: %v", hash, stretch, !within)
		}
	}
}

func TestEventsCutAnywhere(t *testing.T) {
	stream := "event: later\ndata: {\n\nevent: ring\r\ndata: a\r\ndata:b\r\nretry: 1\r\n\r\n: comment\n\nevent:ring\rdata\r\rdata: not a ring\n\ndata: half"
	for _, given := range []struct {
		length int
		ring   string
	}{{len(stream), ""}, {strings.Index(stream, "event:ring"), "a\nb"}} {
		for at := range given.length {
			var events eventParser
			if err := errors.Join(events.feed([]byte(stream[:at])), events.feed([]byte(stream[at:given.length]))); err != nil {
				t.Fatal(err)
			}
			ring, comments, whole := events.drain()
			if ring == nil || string(ring) != given.ring || !comments || !whole {
				t.Errorf("cut at %d of %d: %q, %v, %v", at, given.length, ring, comments, whole)
			}
			if ring, comments, whole := events.drain(); ring != nil || comments || whole {
				t.Errorf("drained twice: %q, %v, %v", ring, comments, whole)
			}
		}
	}
}

func TestLimitsOfWhatIsRead(t *testing.T) {
	var events eventParser
	lines := []byte(strings.Repeat("data:\n", 1<<20))
	err := error(nil)
	for count := 0; err == nil && count < 20; count++ {
		err = events.feed(lines)
	}
	if !errors.Is(err, ErrResponseInvalid) {
		t.Errorf("an event of empty lines without an end: %v", err)
	}
	for _, text := range []string{
		`{"nodes":null,"digest":"d41d8cd98f00b204"}`,
		`{"digest":"d41d8cd98f00b204"}`,
		`{"nodes":[],"digest":"d41d8cd98f00b204","version":"1"}`,
		`{"nodes":[],"digest":"d41d8cd98f00b204"} x`,
		`{"nodes":[],"digest":"d41d8cd98f00b204","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
		`{"nodes":[],"digest":"d41d8cd98f00b204","x":[1` + strings.Repeat(",1", 1_000_000) + `]}`,
		`{"nodes":[{"ringKey":"a","weight":1.5}],"digest":""}`,
		"{\"nodes\":[],\"digest\":\"d41d8cd98f00b204\",\"x\":\"\xff\"}",
	} {
		if _, _, err := readRing([]byte(text)); !errors.Is(err, ErrResponseInvalid) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
	if _, _, err := readRing([]byte(`{"nodes":[],"digest":"d41d8cd98f00b204","x":"[\"[` + strings.Repeat("[", 40) + `"}`)); err != nil {
		t.Errorf("brackets in text: %v", err)
	}
}

func BenchmarkOwner(b *testing.B) {
	keys := make([]string, 1<<17)
	for number := range keys {
		keys[number] = fmt.Sprintf("user:%017d", number*7919)
	}
	for _, count := range []int{3, 10, 100, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			ring := mustRing(b, manyNodes(count)...)
			at := 0
			for b.Loop() {
				if _, err := ring.Owner(keys[at&(1<<17-1)]); err != nil {
					b.Fatal(err)
				}
				at++
			}
		})
	}
}

func BenchmarkNewRing(b *testing.B) {
	for _, count := range []int{3, 100, 1000} {
		nodes := manyNodes(count)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			for b.Loop() {
				mustRing(b, nodes...)
			}
		})
	}
}

func manyNodes(count int) (nodes []Node) {
	for number := range count {
		nodes = append(nodes, Node{RingKey: fmt.Sprintf("10.0.%d.%d:8000", number>>8, number&255), Weight: 1})
	}
	return nodes
}
