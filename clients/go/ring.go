package ringman

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Circle is how many hashes there are: 0 to 2^32 - 1.
const Circle = 1 << 32

const (
	maxWeight      = 1<<53 - 1
	digestsPerNode = 40
)

// A Node is a member's place on the ring. RingKey and Weight decide what it owns; the rest is for reaching it, and
// empty where the member did not give it.
type Node struct {
	RingKey string `json:"ringKey"`
	Weight  int64  `json:"weight"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	Port    int    `json:"port,omitempty"`
	Zone    string `json:"zone,omitempty"`
}

// HostPort is "address:port" as a URL has it: IPv6 in brackets, the port left out where there is none. The error is
// [ErrNodeInvalid] for a node without an address, or with one that no URL can have.
func (n Node) HostPort() (string, error) {
	if n.Address == "" || len(n.Address) > 255 || strings.ContainsFunc(n.Address, notInHost) || n.Port < 0 || n.Port > 65535 {
		return "", fmt.Errorf("%w: the member gave no address and port that a URL can have", ErrNodeInvalid)
	}
	if n.Port != 0 {
		return net.JoinHostPort(n.Address, strconv.Itoa(n.Port)), nil
	}
	if strings.Contains(n.Address, ":") {
		return "[" + n.Address + "]", nil
	}
	return n.Address, nil
}

func notInHost(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune(".:_-", r))
}

func (n Node) check() error {
	if n.RingKey == "" || strings.Contains(n.RingKey, "\n") || !utf8.ValidString(n.RingKey) {
		return fmt.Errorf("%w: a ring key is UTF-8, not empty and without line feeds", ErrNodeInvalid)
	}
	if n.Weight < 1 || n.Weight > maxWeight {
		return fmt.Errorf("%w: a weight is an integer from 1 to 2^53 - 1", ErrNodeInvalid)
	}
	return nil
}

// A Ring says which node owns a key. It never changes, and any number of goroutines may use it. The same ring keys and
// weights make the same ring everywhere.
//
// The points are those of https://github.com/serialx/hashring as it was in 2019. A key belongs to the node of the first
// point after its hash; a point that two nodes share is the lower ring key's.
type Ring struct {
	nodes  []Node
	digest string

	points []uint32 // ascending
	owners []uint32 // of each point, the place in nodes
	owning int      // how many nodes have points

	// The upper bits of a hash lead to the first point of its slice of the circle; there are as many slices as points,
	// or up to twice as many.
	slices []uint32
	shift  int
}

var emptyRing, _ = NewRing()

// NewRing makes a ring. Of two nodes with one ring key the later counts. The error is [ErrNodeInvalid].
func NewRing(nodes ...Node) (*Ring, error) {
	byKey := make(map[string]Node, len(nodes))
	for _, node := range nodes {
		if err := node.check(); err != nil {
			return nil, err
		}
		byKey[node.RingKey] = node
	}
	r := &Ring{nodes: make([]Node, 0, len(byKey))}
	for _, node := range byKey {
		r.nodes = append(r.nodes, node)
	}
	slices.SortFunc(r.nodes, func(a, b Node) int { return strings.Compare(a.RingKey, b.RingKey) })

	var lines []byte
	total := 0.0 // in doubles, in this order, as all members do it: weights may be beyond 2^53 together
	for _, node := range r.nodes {
		lines = fmt.Appendf(lines, "%s|%d\n", node.RingKey, node.Weight)
		total += float64(node.Weight)
	}
	sum := md5.Sum(lines)
	r.digest = hex.EncodeToString(sum[:8])

	// A point in the upper half, its node's place in the lower: in this order, the lower ring key comes first.
	placed := make([]uint64, 0, 3*digestsPerNode*len(r.nodes))
	for place, node := range r.nodes {
		digests := int(float64(digestsPerNode*len(r.nodes)) * float64(node.Weight) / total)
		if digests > 0 {
			r.owning++
		}
		name := []byte(node.RingKey + "-")
		for number := range digests {
			sum := md5.Sum(strconv.AppendInt(name, int64(number), 10))
			for at := 0; at < 12; at += 4 {
				placed = append(placed, uint64(binary.LittleEndian.Uint32(sum[at:]))<<32|uint64(place))
			}
		}
	}
	slices.Sort(placed)
	placed = slices.CompactFunc(placed, func(a, b uint64) bool { return a>>32 == b>>32 })
	r.index(placed)
	return r, nil
}

func (r *Ring) index(placed []uint64) {
	if len(placed) == 0 {
		return
	}
	r.points, r.owners = make([]uint32, len(placed)), make([]uint32, len(placed))
	upper := bits.Len(uint(len(placed) - 1))
	r.shift = 32 - upper
	r.slices = make([]uint32, 1<<upper)
	begun := 0
	for at, entry := range placed {
		r.points[at], r.owners[at] = uint32(entry>>32), uint32(entry)
		for ; begun <= int(r.points[at]>>r.shift); begun++ {
			r.slices[begun] = uint32(at)
		}
	}
	for ; begun < len(r.slices); begun++ {
		r.slices[begun] = uint32(len(placed))
	}
}

// first is the place of the first point after a hash; the ring has points.
func (r *Ring) first(hash uint32) int {
	at := int(r.slices[hash>>r.shift])
	for at < len(r.points) && r.points[at] <= hash {
		at++
	}
	if at == len(r.points) {
		return 0
	}
	return at
}

func hashOf(key string) uint32 {
	// The bytes are only read: a long key is not copied.
	sum := md5.Sum(unsafe.Slice(unsafe.StringData(key), len(key)))
	return binary.LittleEndian.Uint32(sum[:])
}

func (r *Ring) find(key string) (int, error) {
	if key == "" {
		return 0, errKeyEmpty
	}
	if len(r.points) == 0 {
		return 0, errRingEmpty
	}
	return r.first(hashOf(key)), nil
}

// Owner is the node that owns a key. A string stands for its bytes, UTF-8 or not. The error is [ErrKeyEmpty] or
// [ErrRingEmpty].
func (r *Ring) Owner(key string) (Node, error) {
	at, err := r.find(key)
	if err != nil {
		return Node{}, err
	}
	return r.nodes[r.owners[at]], nil
}

// Owners gives the first n distinct owners of a key, or all where there are fewer. The error is [ErrKeyEmpty],
// [ErrRingEmpty], or [ErrNOutOfRange] for an n below 1.
func (r *Ring) Owners(key string, n int) ([]Node, error) {
	if n < 1 {
		return nil, errNOutOfRange
	}
	at, err := r.find(key)
	if err != nil {
		return nil, err
	}
	found := make([]Node, 0, min(n, r.owning))
	seen := make([]bool, len(r.nodes))
	// A node may have no point but those that others cover: the circle is gone around once at most.
	for range r.points {
		if place := r.owners[at]; !seen[place] {
			seen[place] = true
			found = append(found, r.nodes[place])
			if len(found) == cap(found) {
				break
			}
		}
		if at++; at == len(r.points) {
			at = 0
		}
	}
	return found, nil
}

// Nodes gives all nodes in the order of their ring keys, those that own nothing too.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

// Len is how many nodes there are.
func (r *Ring) Len() int { return len(r.nodes) }

// Digest is equal to that of another ring, or of a member, exactly when ring keys and weights are.
func (r *Ring) Digest() string { return r.digest }

// Shares gives the fraction of the circle that each node owns, exactly, by ring key.
func (r *Ring) Shares() map[string]float64 {
	hashes := make([]uint64, len(r.nodes))
	start := uint64(0)
	for at := range len(r.points) + 1 {
		end, owner := r.stretch(at)
		if owner >= 0 {
			hashes[owner] += end - start
		}
		start = end
	}
	shares := make(map[string]float64, len(r.nodes))
	for place, node := range r.nodes {
		shares[node.RingKey] = float64(hashes[place]) / Circle
	}
	return shares
}

// stretch gives the end of the stretch before a point, and the place of its owner; behind the last point is the first
// one's. -1: nobody's.
func (r *Ring) stretch(at int) (end uint64, owner int) {
	switch {
	case at < len(r.points):
		return uint64(r.points[at]), int(r.owners[at])
	case len(r.points) > 0:
		return Circle, int(r.owners[0])
	default:
		return Circle, -1
	}
}

func (r *Ring) nodeAt(place int) *Node {
	if place < 0 {
		return nil
	}
	return &r.nodes[place]
}

// A Stretch holds the hashes Start <= h < End, which belonged to From and belong to To; nil is nobody.
// The nodes are those of the rings: do not change them.
type Stretch struct {
	Start, End uint64
	From, To   *Node
}

// Moved holds the stretches of the circle that have another owner on one ring than on another, ascending.
type Moved []Stretch

// MovedTo says which keys have another owner on the next ring. Owners are told apart by their ring keys.
func (r *Ring) MovedTo(next *Ring) Moved {
	var moved Moved
	start := uint64(0)
	for i, j := 0, 0; start < Circle; {
		oldEnd, oldOwner := r.stretch(i)
		newEnd, newOwner := next.stretch(j)
		end := min(oldEnd, newEnd)
		from, to := r.nodeAt(oldOwner), next.nodeAt(newOwner)
		if end > start && ringKey(from) != ringKey(to) {
			if last := len(moved) - 1; last >= 0 && moved[last].End == start && moved[last].From == from && moved[last].To == to {
				moved[last].End = end
			} else {
				moved = append(moved, Stretch{start, end, from, to})
			}
		}
		if oldEnd == end {
			i++
		}
		if newEnd == end {
			j++
		}
		start = end
	}
	return moved
}

// ringKey of nobody is empty, which no node's is.
func ringKey(node *Node) string {
	if node == nil {
		return ""
	}
	return node.RingKey
}

// Share is the fraction of the circle that moved, exactly.
func (m Moved) Share() float64 {
	hashes := uint64(0)
	for _, stretch := range m {
		hashes += stretch.End - stretch.Start
	}
	return float64(hashes) / Circle
}

// Find gives the stretch that a key lies in, and false when its owner is the same.
func (m Moved) Find(key string) (Stretch, bool) {
	hash := uint64(hashOf(key))
	at, _ := slices.BinarySearchFunc(m, hash, func(s Stretch, hash uint64) int { return cmp.Compare(s.End, hash+1) })
	if key == "" || at == len(m) || hash < m[at].Start {
		return Stretch{}, false
	}
	return m[at], true
}

// Contains says whether a key has another owner.
func (m Moved) Contains(key string) bool {
	_, found := m.Find(key)
	return found
}

// GainedBy gives the stretches that a node got.
func (m Moved) GainedBy(key string) Moved {
	return slices.DeleteFunc(slices.Clone(m), func(s Stretch) bool { return ringKey(s.To) != key })
}

// LostBy gives the stretches that a node lost.
func (m Moved) LostBy(key string) Moved {
	return slices.DeleteFunc(slices.Clone(m), func(s Stretch) bool { return ringKey(s.From) != key })
}

// A PlanRequest names nodes that leave, join, or get another weight, all at once. A ring key may be in it once.
type PlanRequest struct {
	Leave    []string
	Join     []Node
	Reweight map[string]int64
}

// A Plan is what a change would move: both digests, the fraction of the circle, and the moves, the largest first.
type Plan struct {
	Before, After string
	MovedShare    float64
	Moves         []Move
}

// A Move is a part of the circle that goes from one node to another, by ring keys; empty is nobody.
type Move struct {
	From, To string
	Share    float64
}

// Plan says what would move. The error is [ErrPlanInvalid].
func (r *Ring) Plan(request PlanRequest) (*Plan, error) {
	nodes := make(map[string]Node, len(r.nodes))
	for _, node := range r.nodes {
		nodes[node.RingKey] = node
	}
	named := map[string]bool{}
	name := func(key string, isThere bool) (Node, error) {
		node, there := nodes[key]
		if named[key] || there != isThere {
			return Node{}, fmt.Errorf("%w: %q is named twice, or to join and there already, or not on the ring", ErrPlanInvalid, key)
		}
		named[key] = true
		return node, nil
	}
	after := make([]Node, 0, len(nodes)+len(request.Join))
	for _, key := range request.Leave {
		if _, err := name(key, true); err != nil {
			return nil, err
		}
	}
	for key, weight := range request.Reweight {
		node, err := name(key, true)
		if err != nil {
			return nil, err
		}
		node.Weight = weight
		after = append(after, node)
	}
	for _, node := range request.Join {
		if _, err := name(node.RingKey, false); err != nil {
			return nil, err
		}
		after = append(after, node)
	}
	for key, node := range nodes {
		if !named[key] {
			after = append(after, node)
		}
	}
	next, err := NewRing(after...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPlanInvalid, err)
	}
	moved := r.MovedTo(next)
	hashes := map[Move]uint64{}
	for _, stretch := range moved {
		hashes[Move{From: ringKey(stretch.From), To: ringKey(stretch.To)}] += stretch.End - stretch.Start
	}
	plan := &Plan{Before: r.digest, After: next.digest, MovedShare: moved.Share(), Moves: make([]Move, 0, len(hashes))}
	for move, count := range hashes {
		move.Share = float64(count) / Circle
		plan.Moves = append(plan.Moves, move)
	}
	slices.SortFunc(plan.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return plan, nil
}
