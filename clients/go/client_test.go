package ringman

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func ringJSON(t testing.TB, nodes []Node) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"nodes": append([]Node{}, nodes...), "digest": mustRing(t, nodes...).Digest()})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A member sends its ring, then each one that it is to show, to whoever watches.
type member struct {
	show chan []Node
	mu   sync.Mutex
	ring []Node
	last *http.Request
}

func startMember(t testing.TB, nodes []Node, start func(http.Handler) *httptest.Server) (*member, *httptest.Server) {
	t.Helper()
	m := &member{show: make(chan []Node), ring: nodes}
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.last = r
		ring := m.ring
		m.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for {
			fmt.Fprintf(w, "event: ring\ndata: %s\n\n", ringJSON(t, ring))
			w.(http.Flusher).Flush()
			select {
			case ring = <-m.show:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return m, server
}

func (m *member) lastAsked() *http.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

var quiet = slog.New(slog.DiscardHandler)

// follow opens a client and waits for its first ring.
func follow(t testing.TB, options Options) *Client {
	t.Helper()
	if options.Logger == nil {
		options.Logger = quiet
	}
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestChanges(t *testing.T) {
	m, server := startMember(t, letters("ab"), httptest.NewServer)
	client := follow(t, Options{URLs: []string{server.URL + "/"}})
	var seen []string
	for change := range client.Changes(t.Context()) {
		seen = append(seen, strings.Join(ringKeys(change.Ring.Nodes()), ""))
		if want := change.Previous.MovedTo(change.Ring).Share(); change.Moved().Share() != want || want == 0 {
			t.Errorf("moved %v, not %v", change.Moved().Share(), want)
		}
		switch len(seen) {
		case 1:
			if change.Previous.Len() != 0 || change.Moved().Share() != 1 {
				t.Errorf("the first change: %+v", change)
			}
			// This reader is slow: it gets the newest alone.
			m.show <- letters("abc")
			m.show <- letters("abcd")
			for client.Digest() != mustRing(t, letters("abcd")...).Digest() {
				time.Sleep(time.Millisecond)
			}
		case 2:
			client.Close()
		}
	}
	if !slices.Equal(seen, []string{"ab", "abcd"}) {
		t.Errorf("%v", seen)
	}
	if _, err := client.Owner("user:42"); err != nil {
		t.Errorf("after Close: %v", err)
	}
	client.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for change := range client.Changes(ended) {
		t.Errorf("a change after the end of the context: %v", change)
	}
}

func TestHashRing(t *testing.T) {
	m, server := startMember(t, letters("ab"), httptest.NewServer)
	follow(t, Options{URLs: []string{server.URL + "/base"}, Ring: "shop/cache"})
	if path := m.lastAsked().URL.Path; path != "/base/v1/rings/shop/cache/ring/watch" {
		t.Error(path)
	}
}

func TestTLSAndPrepare(t *testing.T) {
	m, server := startMember(t, letters("ab"), func(handler http.Handler) *httptest.Server {
		server := httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.StartTLS()
		return server
	})
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	follow(t, Options{
		URLs: []string{server.URL},
		TLS:  &tls.Config{RootCAs: authorities},
		Prepare: func(request *http.Request) error {
			request.Header.Set("Authorization", "Bearer t")
			return nil
		},
	})
	if got := m.lastAsked().Header.Get("Authorization"); got != "Bearer t" {
		t.Error(got)
	}
	stranger, err := New(Options{URLs: []string{server.URL}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := stranger.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a certificate of an unknown authority: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := []string{"http://127.0.0.1:1"}
	for _, refused := range []Options{
		{},
		{URLs: []string{""}},
		{URLs: []string{"ftp://host"}},
		{URLs: []string{"http://"}},
		{URLs: []string{"http://host?x=y"}},
		{URLs: []string{"http://user:secret@host"}},
		{URLs: []string{"http://host:port"}},
		{URLs: good, Ring: "cache"},
		{URLs: good, Ring: "../members/x"},
		{URLs: good, Ring: "shop/cache\n"},
		{URLs: good, Timeout: -1},
		{URLs: good, RefuseStale: true},
	} {
		if _, err := New(refused); !errors.Is(err, ErrConfigInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", refused, err)
		}
	}
}

func TestReadySaysWhatWentWrongLast(t *testing.T) {
	client, err := New(Options{URLs: []string{"http://127.0.0.1:1"}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for client.failure.Load() == nil {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = client.Ready(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "http://127.0.0.1:1/v1/ring: UNREACHABLE: ") {
		t.Error(err)
	}
}

func TestWhatAMemberSaysOfARefusal(t *testing.T) {
	for body, said := range map[string]string{
		`{"code":"RING_NOT_FOUND","detail":"there is no HashRing shop/\u001bcache"}`: `it answers with status 404: "there is no HashRing shop/\x1bcache"`,
		`{"detail":"` + strings.Repeat("a", 1000) + `"}`:                             `status 404: "` + strings.Repeat("a", 300) + `"`,
		`{"detail":"` + strings.Repeat("a", 5000) + `"}`:                             "it answers with status 404",
		`{"detail":7}`: "it answers with status 404",
		"not JSON":     "it answers with status 404",
	} {
		err := refused(&http.Response{StatusCode: 404, Body: io.NopCloser(strings.NewReader(body))})
		if !errors.Is(err, ErrResponseInvalid) || !strings.HasSuffix(err.Error(), said) {
			t.Error(err)
		}
	}
}

func TestARingFileThatIsNoPlainFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skip(err)
	}
	client := &Client{}
	if err := client.readFile(pipe); !errors.Is(err, ErrResponseInvalid) {
		t.Error(err)
	}
}

func TestCloseBeforeTheFirstRing(t *testing.T) {
	client, err := New(Options{URLs: []string{"http://127.0.0.1:1"}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, client.Close)
	if err := client.Ready(t.Context()); !errors.Is(err, ErrRingUnknown) {
		t.Error(err)
	}
	if _, err := client.Owner("x"); !errors.Is(err, ErrRingUnknown) || !client.Stale() || client.Digest() != "" {
		t.Error(err)
	}
}

func TestWhatAMemberSaysIsLoggedShort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write(append(bytes.Repeat([]byte("\x1b[31mé"), 5000), "\r\n\r\n"...))
			_ = connection.Close()
		}
	}()
	lines := make(chan string, 100)
	client, err := New(Options{URLs: []string{"http://" + listener.Addr().String()}, Logger: slog.New(slog.NewTextHandler(lineWriter(lines), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if line := <-lines; !strings.Contains(line, "UNREACHABLE") || strings.Contains(line, "\x1b") || len(line) > 1000 {
		t.Errorf("%d bytes: %q", len(line), line)
	}
}

type lineWriter chan string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

func TestRingsAreTakenNoFasterThanTenASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &Client{started: time.Now()}
		client.copy.Store(&version{replaced: make(chan struct{})})
		f := newFollower(client, nil)
		started := time.Now()
		for range 45 {
			if err := f.take(t.Context(), ringJSON(t, letters("ab")), false); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started).Round(time.Millisecond); took != 2500*time.Millisecond {
			t.Errorf("45 rings were taken in %v", took)
		}
	})
}

func TestTransport(t *testing.T) {
	application := func(name string) Node {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, name, " ", r.Host, " ", r.URL)
		}))
		t.Cleanup(server.Close)
		at, _ := url.Parse(server.URL)
		var port int
		_, _ = fmt.Sscan(at.Port(), &port)
		return Node{RingKey: name, Weight: 1, Address: at.Hostname(), Port: port}
	}
	nodes := []Node{application("a"), application("b"), {RingKey: "nowhere", Weight: 1}}
	_, server := startMember(t, nodes, httptest.NewServer)
	client := follow(t, Options{URLs: []string{server.URL}})
	session := &http.Client{Transport: &Transport{
		Client: client,
		Key:    func(request *http.Request) string { return request.Header.Get("X-Room") },
	}}
	reached := map[string]int{}
	for number := range 60 {
		key := fmt.Sprint("room-", number)
		owner, err := client.Owner(key)
		if err != nil {
			t.Fatal(err)
		}
		body := &closed{Reader: strings.NewReader("text")}
		request, _ := http.NewRequest(http.MethodPost, "http://rooms.example/path?q=1", body)
		request.Header.Set("X-Room", key)
		answer, err := session.Do(request)
		reached[owner.RingKey]++
		if owner.Address == "" {
			if !errors.Is(err, ErrNodeInvalid) || !body.closed {
				t.Errorf("%v, closed: %v", err, body.closed)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := readAll(answer.Body)
		_ = answer.Body.Close()
		if want := owner.RingKey + " rooms.example /path?q=1"; string(text) != want {
			t.Errorf("%q, not %q", text, want)
		}
		if answer.Request.URL.Host != "rooms.example" || request.URL.Host != "rooms.example" {
			t.Error("the request was changed")
		}
	}
	if len(reached) != 3 {
		t.Errorf("%v", reached)
	}
	request, _ := http.NewRequest(http.MethodGet, "http://rooms.example/", nil)
	if _, err := session.Do(request); !errors.Is(err, ErrKeyEmpty) {
		t.Errorf("without a key: %v", err)
	}
}

type closed struct {
	*strings.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}
