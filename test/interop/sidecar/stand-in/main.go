// Command sidecar-stand-in does what the ring sees of one Nitro Sidecar with static discovery: it checks the
// services of a list over HTTP, serves its state, streams it, and posts it to its listeners at each change of
// a service's status. Configuration has Sidecar's names: STATIC_CONFIG_FILE, LISTENERS_URLS. It gossips with
// nobody, and it checks more often than every three seconds.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// The numbers of a service's status.
const (
	alive = iota
	_     // a tombstone: what a static list holds never becomes one
	unhealthy
	unknown
	draining
)

type port struct {
	Type        string
	Port        int64
	ServicePort int64
	IP          string
}

type service struct {
	ID        string
	Name      string
	Image     string
	Created   time.Time
	Hostname  string
	Ports     []port
	Updated   time.Time
	ProxyMode string
	Status    int
}

type server struct {
	Name        string
	Services    map[string]*service
	LastUpdated time.Time
	LastChanged time.Time
}

type state struct {
	Servers     map[string]*server
	LastChanged time.Time
	ClusterName string
	Hostname    string
}

type changeEvent struct {
	Service        service
	PreviousStatus int
	Time           time.Time
}

type stateChangedEvent struct {
	State       *state
	ChangeEvent changeEvent
}

// target is an entry of the static list.
type target struct {
	Service service
	Check   struct{ Type, Args string }
}

// sidecar holds the state; everything below mutex is guarded by it.
type sidecar struct {
	listeners []chan changeEvent
	checks    map[string]string

	mutex   sync.Mutex
	state   state
	streams map[chan struct{}]bool
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the API")
	interval := flag.Duration("check-interval", 200*time.Millisecond, "time between two checks of a service")
	reencode := flag.String("reencode", "", "decode a `state` or `event` from standard input, write it again, and exit")
	flag.Parse()
	if *reencode != "" {
		reencodeStdin(*reencode)
		return
	}
	log.SetFlags(log.Lmicroseconds)

	s := &sidecar{checks: map[string]string{}, streams: map[chan struct{}]bool{}}
	if err := s.load(os.Getenv("STATIC_CONFIG_FILE")); err != nil {
		log.Fatalf("cannot read the list of services: %v", err)
	}
	for _, url := range strings.FieldsFunc(os.Getenv("LISTENERS_URLS"), func(r rune) bool { return r == ',' || r == ' ' }) {
		events := make(chan changeEvent, 20)
		s.listeners = append(s.listeners, events)
		go s.post(url, events)
	}
	go func() {
		for range time.Tick(*interval) {
			s.check()
		}
	}()

	mux := http.NewServeMux()
	for _, prefix := range []string{"/api", ""} {
		mux.HandleFunc(prefix+"/state.json", s.serveState)
		mux.HandleFunc(prefix+"/watch", s.serveWatch)
		mux.HandleFunc("POST "+prefix+"/services/{id}/drain", s.serveDrain)
	}
	socket, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	fmt.Printf("listening on %s\n", socket.Addr())
	log.Fatal(http.Serve(socket, mux))
}

// reencodeStdin lets a test hold this program's JSON against what the real Sidecar was recorded to write.
func reencodeStdin(kind string) {
	var value any = &stateChangedEvent{}
	if kind == "state" {
		value = &state{}
	}
	if err := json.NewDecoder(os.Stdin).Decode(value); err != nil {
		log.Fatalf("cannot decode the %s: %v", kind, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		log.Fatalf("cannot encode the %s: %v", kind, err)
	}
	os.Stdout.Write(text)
}

// load reads the list of services. Each begins as unknown, under an ID of its own.
func (s *sidecar) load(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var targets []target
	if err := json.Unmarshal(text, &targets); err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	s.state = state{Servers: map[string]*server{}, LastChanged: time.Unix(0, 0), ClusterName: "default", Hostname: hostname}
	for _, target := range targets {
		svc := target.Service
		id := make([]byte, 6)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		svc.ID, svc.Created, svc.Updated, svc.Status = hex.EncodeToString(id), now, now, unknown
		if svc.Hostname == "" {
			svc.Hostname = hostname
		}
		if s.state.Servers[svc.Hostname] == nil {
			s.state.Servers[svc.Hostname] = &server{Name: svc.Hostname, Services: map[string]*service{}, LastUpdated: now, LastChanged: now}
		}
		s.state.Servers[svc.Hostname].Services[svc.ID] = &svc
		s.checks[svc.ID] = target.Check.Args
	}
	return nil
}

// check asks every service how it is and tells everybody of each status that changed.
func (s *sidecar) check() {
	client := http.Client{Timeout: time.Second}
	for id, url := range s.checks {
		status := unhealthy
		if answer, err := client.Get(url); err == nil {
			answer.Body.Close()
			if answer.StatusCode >= 200 && answer.StatusCode <= 299 {
				status = alive
			}
		}
		s.setStatus(id, status)
	}
}

func (s *sidecar) setStatus(id string, status int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now().UTC()
	for _, server := range s.state.Servers {
		svc := server.Services[id]
		if svc == nil {
			continue
		}
		svc.Updated, server.LastUpdated = now, now
		// What drains stays so while it answers.
		if svc.Status == status || svc.Status == draining && status == alive {
			return
		}
		previous := svc.Status
		svc.Status, server.LastChanged, s.state.LastChanged = status, now, now
		log.Printf("%s on %s went from %d to %d", svc.Name, svc.Hostname, previous, status)
		event := changeEvent{Service: *svc, PreviousStatus: previous, Time: now}
		for _, listener := range s.listeners {
			select {
			case listener <- event:
			default:
				log.Print("a listener is behind: dropped an event")
			}
		}
		for stream := range s.streams {
			select {
			case stream <- struct{}{}:
			default:
			}
		}
	}
}

// encode gives the JSON of what make builds, while nothing changes.
func (s *sidecar) encode(make func() any) []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	text, err := json.Marshal(make())
	if err != nil {
		log.Fatalf("cannot encode: %v", err)
	}
	return text
}

// post sends the whole state with each event. Like Sidecar it takes the state as it is when it gets round to
// the event, and what a failed try has read of the body is missing from the next one.
func (s *sidecar) post(url string, events <-chan changeEvent) {
	client := http.Client{Timeout: 3 * time.Second}
	for event := range events {
		body := bytes.NewBuffer(s.encode(func() any { return stateChangedEvent{State: &s.state, ChangeEvent: event} }))
		for try := 0; try < 6; try++ {
			answer, err := client.Post(url, "application/json", body)
			if err == nil {
				answer.Body.Close()
				if answer.StatusCode >= 200 && answer.StatusCode <= 299 {
					break
				}
				err = fmt.Errorf("status %d", answer.StatusCode)
			}
			log.Printf("posting to a listener failed: %v", err)
			time.Sleep(time.Duration(try) * 100 * time.Millisecond)
		}
	}
}

func (s *sidecar) serveState(response http.ResponseWriter, _ *http.Request) {
	response.Header().Set("Content-Type", "application/json")
	response.Write(s.encode(func() any { return &s.state }))
}

func (s *sidecar) serveDrain(response http.ResponseWriter, request *http.Request) {
	s.setStatus(request.PathValue("id"), draining)
	response.WriteHeader(http.StatusAccepted)
}

// serveWatch streams the state, or with by_service other than false the services by name, at once and after
// each change: one document right after the other.
func (s *sidecar) serveWatch(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "application/json")
	changed := make(chan struct{}, 50)
	s.mutex.Lock()
	s.streams[changed] = true
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		delete(s.streams, changed)
		s.mutex.Unlock()
	}()
	for {
		response.Write(s.encode(func() any {
			if request.URL.Query().Get("by_service") == "false" {
				return &s.state
			}
			byName := map[string][]*service{}
			for _, server := range s.state.Servers {
				for _, svc := range server.Services {
					byName[svc.Name] = append(byName[svc.Name], svc)
				}
			}
			return byName
		}))
		response.(http.Flusher).Flush()
		select {
		case <-request.Context().Done():
			return
		case <-changed:
		}
	}
}
