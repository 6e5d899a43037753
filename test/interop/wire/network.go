package main

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// recording is one datagram, or all the bytes that one side of a connection sent.
type recording struct {
	proto string // "udp" or "tcp"
	role  string // of a stream: "request" for the side that dialled, "response" for the other
	bytes []byte
}

// network joins members inside this process and records what they send.
type network struct {
	mu         sync.Mutex
	members    map[string]*endpoint
	blocked    func(proto, from, to string) bool
	recordings []recording
}

func newNetwork() *network {
	return &network{members: map[string]*endpoint{}, blocked: func(string, string, string) bool { return false }}
}

// block decides from now on what is lost.
func (n *network) block(lost func(proto, from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocked = lost
}

func (n *network) record(r recording) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.recordings = append(n.recordings, r)
}

func (n *network) find(proto, from, to string) *endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.blocked(proto, from, to) {
		return nil
	}
	return n.members[to]
}

// endpoint is one member's memberlist.Transport.
type endpoint struct {
	network *network
	ip      net.IP
	port    int
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *network) open(ip string, port int) *endpoint {
	e := &endpoint{
		network: n, ip: net.ParseIP(ip), port: port,
		packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 64),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members[e.address()] = e
	return e
}

func (e *endpoint) address() string {
	return (&net.UDPAddr{IP: e.ip, Port: e.port}).String()
}

func (e *endpoint) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	if v4 := e.ip.To4(); v4 != nil {
		return v4, e.port, nil
	}
	return e.ip, e.port, nil
}

func (e *endpoint) WriteTo(b []byte, to string) (time.Time, error) {
	now := time.Now()
	e.network.record(recording{proto: "udp", bytes: append([]byte(nil), b...)})
	if peer := e.network.find("udp", e.address(), to); peer != nil {
		peer.receive(append([]byte(nil), b...), e)
	}
	return now, nil
}

// receive hands a datagram to the member.
func (e *endpoint) receive(b []byte, from *endpoint) {
	packet := &memberlist.Packet{Buf: b, From: &net.UDPAddr{IP: from.ip, Port: from.port}, Timestamp: time.Now()}
	select {
	case e.packets <- packet:
	default: // A full queue loses datagrams, as a socket does.
	}
}

func (e *endpoint) PacketCh() <-chan *memberlist.Packet { return e.packets }

func (e *endpoint) StreamCh() <-chan net.Conn { return e.streams }

func (e *endpoint) DialTimeout(to string, _ time.Duration) (net.Conn, error) {
	peer := e.network.find("tcp", e.address(), to)
	if peer == nil {
		return nil, errors.New("no route")
	}
	near, far := net.Pipe()
	peer.streams <- &recordedConn{Conn: far, network: e.network, role: "response"}
	return &recordedConn{Conn: near, network: e.network, role: "request"}, nil
}

func (e *endpoint) Shutdown() error { return nil }

// recordedConn records what is written to it when it is closed.
type recordedConn struct {
	net.Conn
	network *network
	role    string
	once    sync.Once
	sent    []byte
}

func (c *recordedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent = append(c.sent, b[:n]...)
	return n, err
}

func (c *recordedConn) Close() error {
	c.once.Do(func() {
		if len(c.sent) > 0 {
			c.network.record(recording{proto: "tcp", role: c.role, bytes: c.sent})
		}
	})
	return c.Conn.Close()
}
