// Package console lets a test drive a peer over its standard input and output: one JSON object a line, both ways.
//
// In:  {"id":1,"do":"join","addresses":["127.0.0.1:7946"]}
// Out: {"type":"answer","id":1,"atMs":1700000000000,"result":{…}} or {…,"error":"…"}
// and, at any moment, events such as {"type":"join","atMs":…,"member":{…}}.
//
// The peer ends when its input ends, so that no peer outlives its test.
package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Limits of a line that comes in (user state and keys fit well) and of the lines that wait to go out.
const (
	lineLimitBytes = 1 << 20
	queueLimit     = 1 << 16
)

// Member is a member as every peer shows it.
type Member struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	Meta    string `json:"meta"`
	State   string `json:"state"`
}

// Handler carries out one command. It gets the whole line and reads its own fields from it with [Fields].
type Handler func(line []byte) (result any, err error)

// Console writes lines in the order of the calls, without ever blocking its callers on a slow reader: the
// callbacks of memberlist run under its locks.
type Console struct {
	lines chan []byte
}

type line struct {
	Type   string  `json:"type"`
	AtMs   int64   `json:"atMs"`
	ID     *int64  `json:"id,omitempty"`
	Error  string  `json:"error,omitempty"`
	Result any     `json:"result,omitempty"`
	Member *Member `json:"member,omitempty"`
	Fields any     `json:"fields,omitempty"`
}

// New starts a console on out.
func New(out io.Writer) *Console {
	c := &Console{lines: make(chan []byte, queueLimit)}
	go func() {
		for bytes := range c.lines {
			if _, err := out.Write(bytes); err != nil {
				os.Exit(1) // nobody listens any more
			}
		}
	}()
	return c
}

func (c *Console) send(l line) {
	l.AtMs = time.Now().UnixMilli()
	encoded, err := json.Marshal(l)
	if err != nil {
		Fail(err)
	}
	select {
	case c.lines <- append(encoded, '\n'):
	default:
		Fail(errors.New("the reader of this peer's output has stopped reading"))
	}
}

// Event says that a member's place in the view changed: kind is "join", "leave" or "update".
func (c *Console) Event(kind string, member Member) {
	c.send(line{Type: kind, Member: &member})
}

// Notice says anything else: "ready", "message", "state".
func (c *Console) Notice(kind string, fields any) {
	c.send(line{Type: kind, Fields: fields})
}

// Serve carries out the commands of in, one after the other, until it ends.
func (c *Console) Serve(in io.Reader, handlers map[string]Handler) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, lineLimitBytes)
	for lines.Scan() {
		var head struct {
			ID int64  `json:"id"`
			Do string `json:"do"`
		}
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
			return fmt.Errorf("a command is not JSON: %w", err)
		}
		answer := line{Type: "answer", ID: &head.ID}
		if handler, known := handlers[head.Do]; !known {
			answer.Error = fmt.Sprintf("unknown command %q", head.Do)
		} else if result, err := handler(lines.Bytes()); err != nil {
			answer.Error = err.Error()
		} else {
			answer.Result = result
		}
		c.send(answer)
	}
	return lines.Err()
}

// Fields reads a command's own fields into a new T; fields that T does not have are errors.
func Fields[T any](command []byte) (T, error) {
	var own T
	var all map[string]json.RawMessage
	if err := json.Unmarshal(command, &all); err != nil {
		return own, err
	}
	delete(all, "id")
	delete(all, "do")
	rest, err := json.Marshal(all)
	if err != nil {
		return own, err
	}
	return own, Strict(rest, &own)
}

// Strict decodes JSON and refuses unknown fields: a misspelt setting must not pass unnoticed.
func Strict(encoded []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// Fail ends the peer with a message on standard error.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, "peer:", err)
	os.Exit(1)
}
