package ringman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The figures that all clients have in common: docs/clients.md.
const (
	firstWait  = 250 * time.Millisecond
	longWait   = 15 * time.Second
	pollEvery  = 5 * time.Second
	watchAgain = 30 * time.Second
	burst      = 20 // rings at once, and then
	perSecond  = 10
)

const (
	maxHeadBytes    = 64 << 10
	maxProblemBytes = 4 << 10
	maxErrorBytes   = 300
)

var entityTag = regexp.MustCompile(`^(W/)?"[!#-~]{1,200}"$`)

// A follower follows the members' ring: one member at a time by its watch, or by polls.
type follower struct {
	client    *Client
	urls      []*url.URL
	transport *http.Transport
	etag      string
	tokens    float64
	filled    time.Time
}

func newFollower(client *Client, urls []*url.URL) *follower {
	transport := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        client.options.TLS,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeadBytes,
	}
	return &follower{client: client, urls: urls, transport: transport, tokens: burst, filled: time.Now()}
}

// dial tries all addresses of a host in an order by chance: the clients of a headless Service spread over its pods.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	var dialer net.Dialer
	for _, ip := range found {
		var connection net.Conn
		if connection, err = dialer.DialContext(ctx, network, net.JoinHostPort(ip, port)); err == nil {
			return connection, nil
		}
	}
	return nil, err
}

func (f *follower) run(ctx context.Context) {
	count := len(f.urls)
	// Each client begins somewhere else, or all would watch one member.
	at := rand.IntN(count)
	failures, refusals, sincePoll := 0, 0, count
	var askAgain time.Time
	for {
		started := time.Now()
		// After a while, each of them is asked once more whether it has room.
		if !started.Before(askAgain) {
			refusals = 0
		}
		// False: in a whole round nobody let this client watch, and somebody answered a poll.
		mayWatch := refusals < count || sincePoll >= count
		watched, polled := f.follow(ctx, f.urls[at], mayWatch)
		at = (at + 1) % count
		if mayWatch {
			askAgain = time.Now().Add(watchAgain)
		}
		refusals++
		if watched {
			refusals = 0
		}
		sincePoll++
		if polled {
			sincePoll = 0
		}
		if polled || time.Since(started) >= longWait {
			failures = 0
		}
		// Until each URL has been asked for a watch, the next one is not kept waiting.
		wait := min(longWait, firstWait<<max(0, failures-(count-1)))
		if polled && refusals >= count {
			wait = pollEvery
		}
		if !polled {
			failures = min(failures+1, count+10)
		}
		if !sleep(ctx, wait/2+rand.N(wait/2)) {
			return
		}
	}
}

// follow watches a member to the end, or polls it. It says whether there was a watch, and whether a poll was answered.
func (f *follower) follow(ctx context.Context, at *url.URL, mayWatch bool) (watched, polled bool) {
	if mayWatch {
		watched, err := f.watch(ctx, at)
		f.report(ctx, at, err)
		if watched || errors.Is(err, ErrMembersDisagree) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnsure) {
			return watched, false
		}
	}
	err := f.poll(ctx, at)
	f.report(ctx, at, err)
	return false, err == nil
}

func (f *follower) report(ctx context.Context, at *url.URL, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	what := err.Error()
	// Go quotes what a server sent.
	if len(what) > maxErrorBytes {
		what = strings.ToValidUTF8(what[:maxErrorBytes], "") + "…"
	}
	last := at.String() + ": " + what
	f.client.failure.Store(&last)
	f.client.options.Logger.Warn("ringman: lost the ring", "url", at.String(), "error", what)
}

func (f *follower) poll(ctx context.Context, at *url.URL) error {
	life := newLife(ctx, f.client.options.Timeout)
	defer life.end()
	header := http.Header{"Accept": {"application/json"}}
	if f.etag != "" {
		header.Set("If-None-Match", f.etag)
	}
	answer, err := f.ask(life, at, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotModified && f.etag != "" {
		if answer.Header.Get("Ringman-Unsure") == "true" {
			return errUnsure
		}
		f.client.confirm(0)
		return nil
	}
	if answer.StatusCode != http.StatusOK {
		return refused(answer)
	}
	json, err := readAll(answer.Body)
	if err != nil {
		return life.failure(err)
	}
	if err := f.take(ctx, json, true); err != nil {
		return err
	}
	f.etag = answer.Header.Get("ETag")
	if !entityTag.MatchString(f.etag) {
		f.etag = ""
	}
	return nil
}

// watch reads the events of one connection. It always ends with an error, as a watch has no end of its own.
func (f *follower) watch(ctx context.Context, at *url.URL) (watched bool, err error) {
	life := newLife(ctx, f.client.options.Timeout)
	defer life.end()
	answer, err := f.ask(life, at.JoinPath("watch"), http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return false, refused(answer)
	}
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return false, fmt.Errorf("%w: it sends no events", ErrResponseInvalid)
	}
	life.sign(f.client.options.Timeout)
	var events eventParser
	piece := make([]byte, 64<<10)
	for {
		size, readError := answer.Body.Read(piece)
		if err := events.feed(piece[:size]); err != nil {
			return watched, err
		}
		newest, comments, whole := events.drain()
		if newest != nil {
			// The time that a ring takes here is not the member's.
			life.pause()
			if err := f.take(ctx, newest, !watched); err != nil {
				return watched, err
			}
			f.etag, watched = "", true
		} else if watched && comments {
			f.client.confirm(0)
		}
		if newest != nil || watched && (comments || whole) {
			life.sign(f.client.options.Silence)
		}
		if readError == io.EOF {
			return watched, fmt.Errorf("%w: it ended the watch", ErrUnreachable)
		}
		if readError != nil {
			return watched, life.failure(readError)
		}
	}
}

// ask sends a GET over a connection of its own. Redirects are not followed.
func (f *follower) ask(life *life, at *url.URL, header http.Header) (*http.Response, error) {
	request := (&http.Request{Method: http.MethodGet, URL: at, Header: header}).WithContext(life.ctx)
	if prepare := f.client.options.Prepare; prepare != nil {
		if err := prepare(request); err != nil {
			return nil, fmt.Errorf("%w: Prepare: %w", ErrConfigInvalid, err)
		}
	}
	answer, err := f.transport.RoundTrip(request)
	if err != nil {
		return nil, life.failure(err)
	}
	return answer, nil
}

// refused is what an answer of another status than 200 comes to, with what its problem document says, where it has one.
func refused(answer *http.Response) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.NewDecoder(io.LimitReader(answer.Body, maxProblemBytes)).Decode(&problem) != nil || problem.Detail == "" {
		return fmt.Errorf("%w: it answers with status %d", ErrResponseInvalid, answer.StatusCode)
	}
	return fmt.Errorf("%w: it answers with status %d: %.300q", ErrResponseInvalid, answer.StatusCode, problem.Detail)
}

// take gives a ring to the client. A member that sends without a pause is read no faster than rings are taken.
func (f *follower) take(ctx context.Context, json []byte, first bool) error {
	now := time.Now()
	f.tokens = min(burst, f.tokens+now.Sub(f.filled).Seconds()*perSecond)
	f.filled = now
	f.tokens--
	if f.tokens < 0 && !sleep(ctx, time.Duration(-f.tokens/perSecond*float64(time.Second))) {
		return ctx.Err()
	}
	return f.client.take(json, first)
}

// A life is how long a connection may go on without a sign.
type life struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func newLife(ctx context.Context, atFirst time.Duration) *life {
	ctx, cancel := context.WithCancelCause(ctx)
	over := fmt.Errorf("%w: no answer, or no sign of life, in time", ErrTimeout)
	return &life{ctx, cancel, time.AfterFunc(atFirst, func() { cancel(over) })}
}

func (l *life) sign(next time.Duration) { l.timer.Reset(next) }

func (l *life) pause() { l.timer.Stop() }

func (l *life) end() {
	l.timer.Stop()
	l.cancel(nil)
}

// failure is why reading failed: the end of the life, or what the connection says.
func (l *life) failure(err error) error {
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, ErrResponseInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
