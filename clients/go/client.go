package ringman

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Options are what a [Client] needs; only URLs has to be there.
type Options struct {
	// URLs are base URLs of members, or of a Service of members, such as http://ringman.default.svc:8080.
	URLs []string

	// Ring is the NAMESPACE/NAME of a HashRing. Empty: the ring of the members themselves.
	Ring string

	// StaleAfter is the age at which the copy is stale. 0: never. Members say something every 15 s: take 45 s or more.
	StaleAfter time.Duration

	// RefuseStale makes look-ups fail with ErrRingStale then. It needs StaleAfter.
	RefuseStale bool

	// RingFile has the JSON of GET /v1/ring, which answers until a member has given its ring.
	RingFile string

	// Prepare is called with each request to a member before it is sent: to set headers, such as a token that changes.
	Prepare func(*http.Request) error

	// TLS is for https URLs. Nil: the authorities of the machine.
	TLS *tls.Config

	// Timeout is how long a member may take to answer, and then to give its first ring. 0: 5 s.
	Timeout time.Duration

	// Silence is how long a watch may be silent. 0: 45 s.
	Silence time.Duration

	// Logger gets a warning for everything that goes wrong behind the look-ups. Nil: slog.Default().
	Logger *slog.Logger
}

// A Client answers "which instance owns this key?" from a copy of the members' ring. A goroutine keeps the copy current;
// look-ups send no request and never wait. Any number of goroutines may use a client.
type Client struct {
	options   Options
	copy      atomic.Pointer[version]
	started   time.Time
	confirmed atomic.Int64           // nanoseconds after started
	doubted   string                 // a digest
	newest    ringState              // of the newest ring that was taken, where rings have versions
	unsure    int                    // rings in a row whose members were unsure
	failure   atomic.Pointer[string] // what went wrong last
	closing   context.Context
	cancel    context.CancelFunc
	ended     chan struct{}
}

// Rings in a row of members that are unsure, with no other between them, that are passed over at least.
const passedOverUnsure = 2

// A version of the copy; there is no ring in the first one.
type version struct {
	ring     *Ring
	replaced chan struct{} // closed then
}

// A namespace is a label of DNS, the name of a HashRing may have several.
var ringName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)

// New begins to follow the ring; [Client.Close] ends it. The error is [ErrConfigInvalid].
func New(options Options) (*Client, error) {
	if len(options.URLs) == 0 {
		return nil, fmt.Errorf("ringman: %w: a client needs the URL of at least one member", ErrConfigInvalid)
	}
	path := "/v1/ring"
	if options.Ring != "" {
		if !ringName.MatchString(options.Ring) {
			return nil, fmt.Errorf("ringman: %w: Ring is the NAMESPACE/NAME of a HashRing, got %q", ErrConfigInvalid, options.Ring)
		}
		path = "/v1/rings/" + options.Ring + "/ring"
	}
	if options.Timeout < 0 || options.Silence < 0 || options.StaleAfter < 0 {
		return nil, fmt.Errorf("ringman: %w: Timeout, Silence and StaleAfter are not below 0", ErrConfigInvalid)
	}
	if options.RefuseStale && options.StaleAfter == 0 {
		return nil, fmt.Errorf("ringman: %w: RefuseStale needs StaleAfter: without it no copy is stale", ErrConfigInvalid)
	}
	urls := make([]*url.URL, len(options.URLs))
	for at, text := range options.URLs {
		parsed, err := url.Parse(strings.TrimRight(text, "/") + path)
		// The URL is not named: it may hold a password.
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.RawQuery != "" || parsed.Fragment != "" {
			return nil, fmt.Errorf("ringman: %w: a member's URL is http://HOST[:PORT][/PATH] or https://…", ErrConfigInvalid)
		}
		if parsed.User != nil {
			return nil, fmt.Errorf("ringman: %w: a member's URL has no user or password: set a header in Prepare", ErrConfigInvalid)
		}
		urls[at] = parsed
	}
	if options.Timeout == 0 {
		options.Timeout = 5 * time.Second
	}
	if options.Silence == 0 {
		options.Silence = 45 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	c := &Client{options: options, started: time.Now(), ended: make(chan struct{})}
	c.copy.Store(&version{replaced: make(chan struct{})})
	c.closing, c.cancel = context.WithCancel(context.Background())
	if options.RingFile != "" {
		if err := c.readFile(options.RingFile); err != nil {
			what := fmt.Sprintf("the ring file %s was not taken: %v", options.RingFile, err)
			c.failure.Store(&what)
			options.Logger.Warn("ringman: the ring file was not taken", "file", options.RingFile, "error", err)
		}
	}
	go func() {
		defer close(c.ended)
		newFollower(c, urls).run(c.closing)
	}()
	return c, nil
}

// Close ends the connection and all readers of changes. Look-ups go on with the copy that there is.
func (c *Client) Close() {
	c.cancel()
	<-c.ended
}

// Ready waits for the first ring, be it from the file. The error is that of ctx, with what went wrong last, or
// [ErrRingUnknown] when the client was closed.
func (c *Client) Ready(ctx context.Context) error {
	if _, ok := c.next(ctx, nil); ok {
		return nil
	}
	err := ctx.Err()
	if err == nil {
		return errRingUnknown
	}
	if last := c.failure.Load(); last != nil {
		return fmt.Errorf("ringman: %w; what went wrong last: %s", err, *last)
	}
	return err
}

// Owner is the node that owns a key. A string stands for its bytes, UTF-8 or not. The error is [ErrRingUnknown],
// [ErrRingStale], [ErrRingEmpty] or [ErrKeyEmpty].
func (c *Client) Owner(key string) (Node, error) {
	ring, err := c.Ring()
	if err != nil {
		return Node{}, err
	}
	return ring.Owner(key)
}

// Owners gives the first n distinct owners of a key, or all where there are fewer. The errors are those of Owner, and
// [ErrNOutOfRange].
func (c *Client) Owners(key string, n int) ([]Node, error) {
	ring, err := c.Ring()
	if err != nil {
		return nil, err
	}
	return ring.Owners(key, n)
}

// Ring is the copy, which never changes: for several look-ups by one ring. The error is [ErrRingUnknown] or
// [ErrRingStale].
func (c *Client) Ring() (*Ring, error) {
	ring := c.copy.Load().ring
	if ring == nil {
		return nil, errRingUnknown
	}
	if c.options.RefuseStale && c.Stale() {
		return nil, errRingStale
	}
	return ring, nil
}

// Digest is that of the copy, stale or not; empty while there is none.
func (c *Client) Digest() string {
	if ring := c.copy.Load().ring; ring != nil {
		return ring.digest
	}
	return ""
}

// Age is how long ago a member that is not unsure last said that the copy is its ring; of a copy from a file, the age of the file. While
// there is no copy it is the longest Duration.
func (c *Client) Age() time.Duration {
	if c.copy.Load().ring == nil {
		return math.MaxInt64
	}
	return time.Since(c.started) - time.Duration(c.confirmed.Load())
}

// Stale says whether the copy is as old as StaleAfter; it is while there is none.
func (c *Client) Stale() bool {
	return c.copy.Load().ring == nil || c.options.StaleAfter > 0 && c.Age() >= c.options.StaleAfter
}

// A Change is the ring that there is now, and the one that the reader had before; at first the empty one.
type Change struct {
	Ring, Previous *Ring
}

// Moved says which keys got another owner since. Each call compares the rings.
func (c Change) Moved() Moved { return c.Previous.MovedTo(c.Ring) }

// Changes gives the ring now, and again after each change of any field of a node, until ctx or the client ends. A slow
// reader gets the newest ring; what came between is left out.
func (c *Client) Changes(ctx context.Context) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var seen *Ring
		for {
			ring, ok := c.next(ctx, seen)
			if !ok {
				return
			}
			previous := seen
			if seen == nil {
				previous = emptyRing
			}
			seen = ring
			if !yield(Change{Ring: ring, Previous: previous}) {
				return
			}
		}
	}
}

// next waits for a ring that is not the one seen.
func (c *Client) next(ctx context.Context, seen *Ring) (*Ring, bool) {
	for ctx.Err() == nil {
		now := c.copy.Load()
		if now.ring != nil && (seen == nil || !slices.Equal(seen.nodes, now.ring.nodes)) {
			return now.ring, true
		}
		select {
		case <-now.replaced:
		case <-ctx.Done():
		case <-c.ended:
			// A ring may have come last.
			if c.copy.Load() == now {
				return nil, false
			}
		}
	}
	return nil, false
}

// take gets a member's ring, which may be the first of its connection.
func (c *Client) take(json []byte, first bool) error {
	ring, state, err := readRing(json)
	if err != nil {
		return err
	}
	if state.isOlder(c.newest) {
		return fmt.Errorf("%w: a member is behind: its ring is an older one", ErrMembersDisagree)
	}
	if state.Unsure {
		c.unsure++
		if c.copy.Load().ring == nil {
			c.set(ring, 0)
		} else if c.unsure > max(passedOverUnsure, len(c.options.URLs)) {
			// There is no better one to be had.
			c.set(ring, c.Age())
		}
		return errUnsure
	}
	c.unsure = 0
	// A member that has just started, or is cut off, knows few others: another one is asked before it is believed.
	if before := c.copy.Load().ring; first && before != nil && ring.Len()*2 < before.Len() && ring.digest != c.doubted {
		c.doubted = ring.digest
		return fmt.Errorf("%w: a member knows %d of %d nodes", ErrMembersDisagree, ring.Len(), before.Len())
	}
	c.doubted = ""
	if state.Version != nil {
		c.newest = state
	}
	c.set(ring, 0)
	return nil
}

func (c *Client) set(ring *Ring, age time.Duration) {
	c.confirm(age)
	if before := c.copy.Load(); before.ring == nil || !slices.Equal(before.ring.nodes, ring.nodes) {
		c.copy.Store(&version{ring: ring, replaced: make(chan struct{})})
		close(before.replaced)
	}
}

func (c *Client) confirm(age time.Duration) {
	c.confirmed.Store(int64(time.Since(c.started) - age))
}

func (c *Client) readFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// A pipe that nobody writes to would be waited for.
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is no plain file", ErrResponseInvalid)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	json, err := readAll(file)
	if err != nil {
		return err
	}
	ring, _, err := readRing(json)
	if err != nil {
		return err
	}
	c.set(ring, max(0, time.Since(info.ModTime())))
	return nil
}

// readAll reads as much as a ring may have.
func readAll(from io.Reader) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(from, maxRingBytes+1))
	if err == nil && len(all) > maxRingBytes {
		err = fmt.Errorf("%w: it is longer than %d bytes", ErrResponseInvalid, maxRingBytes)
	}
	return all, err
}
