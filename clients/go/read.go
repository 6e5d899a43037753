package ringman

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

const (
	maxRingBytes = 16 << 20
	maxNodes     = 20_000
	maxValues    = 1_000_000
	maxDepth     = 32
)

// What a member says of its ring besides the nodes. Version is nil but for the ring of a HashRing.
type ringState struct {
	Unsure  bool     `json:"unsure"`
	Version *float64 `json:"version"`
	UID     string   `json:"uid"`
}

// isOlder says whether both are of one HashRing, and this one is the older.
func (s ringState) isOlder(than ringState) bool {
	return s.Version != nil && than.Version != nil && s.UID == than.UID && *s.Version < *than.Version
}

// readRing reads the JSON of /v1/ring. The error is ErrResponseInvalid, also where the digest is another one.
func readRing(data []byte) (*Ring, ringState, error) {
	if !utf8.Valid(data) {
		return nil, ringState{}, fmt.Errorf("%w: the answer is not UTF-8", ErrResponseInvalid)
	}
	if err := checkSize(data); err != nil {
		return nil, ringState{}, err
	}
	var given struct {
		ringState
		Nodes  *[]Node `json:"nodes"`
		Digest string  `json:"digest"`
	}
	if err := json.Unmarshal(data, &given); err != nil {
		return nil, ringState{}, fmt.Errorf("%w: the answer is no ring: %v", ErrResponseInvalid, err)
	}
	if given.Nodes == nil {
		return nil, ringState{}, fmt.Errorf("%w: the answer is no ring", ErrResponseInvalid)
	}
	if len(*given.Nodes) > maxNodes {
		return nil, ringState{}, fmt.Errorf("%w: the ring has more than %d nodes", ErrResponseInvalid, maxNodes)
	}
	ring, err := NewRing(*given.Nodes...)
	if err != nil {
		return nil, ringState{}, fmt.Errorf("%w: %v", ErrResponseInvalid, err)
	}
	if ring.digest != given.Digest {
		return nil, ringState{}, fmt.Errorf("%w: the digest of a ring is not that of its nodes", ErrResponseInvalid)
	}
	return ring, given.ringState, nil
}

// checkSize counts values and depth before anything is made of JSON, which takes many times the bytes of its text.
func checkSize(data []byte) error {
	depth, values, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch at := data[i]; {
		case inString && at == '\\':
			i++
		case at == '"':
			inString = !inString
		case inString:
		case at == '[' || at == '{':
			depth++
			values++
		case at == ']' || at == '}':
			depth--
		case at == ',':
			values++
		}
		if values > maxValues || depth > maxDepth {
			return fmt.Errorf("%w: the JSON has too many values, or is nested too deep", ErrResponseInvalid)
		}
	}
	return nil
}

// An eventParser cuts a stream into server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
type eventParser struct {
	line        []byte // one that has not ended
	afterReturn bool   // a line feed that comes next belongs to the line end before
	event       string
	data        []byte // nil: none yet

	newest          []byte
	comments, whole bool
}

// drain gives what came since the last time: the newest ring, whether there was a comment, whether there was any event.
func (p *eventParser) drain() (newest []byte, comments, whole bool) {
	newest, comments, whole = p.newest, p.comments, p.whole
	p.newest, p.comments, p.whole = nil, false, false
	return newest, comments, whole
}

// feed reads on. The error is ErrResponseInvalid for an event that is too long.
func (p *eventParser) feed(piece []byte) error {
	for len(piece) > 0 {
		if p.afterReturn && piece[0] == '\n' {
			piece = piece[1:]
		}
		p.afterReturn = false
		end := bytes.IndexAny(piece, "\r\n")
		if end < 0 {
			p.line = append(p.line, piece...)
			piece = nil
		} else {
			p.take(append(p.line, piece[:end]...))
			p.line = nil
			p.afterReturn = piece[end] == '\r'
			piece = piece[end+1:]
		}
		if len(p.line)+len(p.data) > maxRingBytes {
			return fmt.Errorf("%w: an event is longer than %d bytes", ErrResponseInvalid, maxRingBytes)
		}
	}
	return nil
}

func (p *eventParser) take(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch {
	case len(line) == 0:
		if p.data != nil {
			p.whole = true
			if p.event == "ring" {
				p.newest = p.data
			}
		}
		p.event, p.data = "", nil
	case len(name) == 0:
		p.comments = true
	case string(name) == "event":
		p.event = string(value)
	case string(name) == "data":
		if p.data == nil {
			p.data = make([]byte, 0, len(value))
		} else {
			p.data = append(p.data, '\n')
		}
		p.data = append(p.data, value...)
	}
}
