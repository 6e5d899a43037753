// The driver of this client for the conformance kit; conformance/README.md describes what it reads and prints.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"ringman"
)

type key struct {
	Text string
	Hex  string
}

func (k key) String() string {
	if k.Hex == "" {
		return k.Text
	}
	bytes, err := hex.DecodeString(k.Hex)
	if err != nil {
		log.Fatal(err)
	}
	return string(bytes)
}

type request struct {
	Op                                 string
	URLs                               []string
	TimeoutMs, SilenceMs, StaleAfterMs float64
	Ring, WhenStale, RingFile          string
	Headers                            map[string]string
	Key                                key
	Keys                               []key
	N                                  int
	From, To                           []ringman.Node
	Leave                              []string
	Join                               []ringman.Node
	Reweight                           []ringman.Node
}

type object = map[string]any

type driver struct {
	client *ringman.Client
	next   func() (ringman.Change, bool)
	change chan ringman.Change // of a read that has not come to an end
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	printed := json.NewEncoder(os.Stdout)
	var d driver
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		answer, err := d.answer(asked)
		if err != nil {
			var code ringman.Code
			if !errors.As(err, &code) {
				log.Fatal(err)
			}
			answer = object{"error": code}
		}
		if err := printed.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
	d.close()
}

func (d *driver) answer(asked request) (object, error) {
	switch asked.Op {
	case "open":
		return object{}, d.open(asked)
	case "close":
		d.close()
		return object{}, nil
	case "ready":
		ctx, cancel := context.WithTimeout(context.Background(), ms(asked.TimeoutMs))
		defer cancel()
		return object{"ready": d.client.Ready(ctx) == nil}, nil
	case "owner":
		node, err := d.client.Owner(asked.Key.String())
		return object{"node": node}, err
	case "owners":
		return d.owners(asked)
	case "state":
		if d.client.Digest() == "" {
			return object{"digest": nil, "ageMs": nil, "stale": d.client.Stale()}, nil
		}
		age := float64(d.client.Age()) / float64(time.Millisecond)
		return object{"digest": d.client.Digest(), "ageMs": age, "stale": d.client.Stale()}, nil
	case "shares":
		ring, err := d.client.Ring()
		if err != nil {
			return nil, err
		}
		return object{"shares": ring.Shares()}, nil
	case "changes":
		d.next, _ = iter.Pull(d.client.Changes(context.Background()))
		d.change = nil
		return object{}, nil
	case "change":
		return d.readChange(ms(asked.TimeoutMs)), nil
	case "moved":
		return moved(asked)
	case "plan":
		return d.plan(asked)
	default:
		return object{"unsupported": true}, nil
	}
}

func ms(count float64) time.Duration { return time.Duration(count * float64(time.Millisecond)) }

func (d *driver) open(asked request) (err error) {
	d.client, err = ringman.New(ringman.Options{
		URLs:        asked.URLs,
		Ring:        asked.Ring,
		Timeout:     ms(asked.TimeoutMs),
		Silence:     ms(asked.SilenceMs),
		StaleAfter:  ms(asked.StaleAfterMs),
		RefuseStale: asked.WhenStale == "throw",
		RingFile:    asked.RingFile,
		Prepare: func(sent *http.Request) error {
			for name, value := range asked.Headers {
				sent.Header.Set(name, value)
			}
			return nil
		},
		// The kit provokes what is warned of.
		Logger: slog.New(slog.DiscardHandler),
	})
	return err
}

func (d *driver) close() {
	if d.client != nil {
		d.client.Close()
	}
}

func (d *driver) owners(asked request) (object, error) {
	all := make([][]string, len(asked.Keys))
	for at, key := range asked.Keys {
		nodes, err := d.client.Owners(key.String(), asked.N)
		if err != nil {
			return nil, err
		}
		for _, node := range nodes {
			all[at] = append(all[at], node.RingKey)
		}
	}
	return object{"owners": all}, nil
}

func (d *driver) readChange(timeout time.Duration) object {
	if d.change == nil {
		change, next := make(chan ringman.Change, 1), d.next
		d.change = change
		go func() {
			if given, ok := next(); ok {
				change <- given
			}
		}()
	}
	select {
	case change := <-d.change:
		d.change = nil
		return object{"digest": change.Ring.Digest(), "share": change.Moved().Share()}
	case <-time.After(timeout):
		return object{"timeout": true}
	}
}

func moved(asked request) (object, error) {
	from, err := ringman.NewRing(asked.From...)
	if err != nil {
		return nil, err
	}
	to, err := ringman.NewRing(asked.To...)
	if err != nil {
		return nil, err
	}
	moved := from.MovedTo(to)
	stretches := make([][4]any, len(moved))
	for at, stretch := range moved {
		stretches[at] = [4]any{stretch.Start, stretch.End, ringKey(stretch.From), ringKey(stretch.To)}
	}
	return object{"share": moved.Share(), "stretches": stretches}, nil
}

func ringKey(node *ringman.Node) any {
	if node == nil {
		return nil
	}
	return node.RingKey
}

func (d *driver) plan(asked request) (object, error) {
	ring, err := d.client.Ring()
	if err != nil {
		return nil, err
	}
	weights := map[string]int64{}
	for _, change := range asked.Reweight {
		weights[change.RingKey] = change.Weight
	}
	plan, err := ring.Plan(ringman.PlanRequest{Leave: asked.Leave, Join: asked.Join, Reweight: weights})
	if err != nil {
		return nil, err
	}
	moves := make([]object, len(plan.Moves))
	for at, move := range plan.Moves {
		moves[at] = object{"from": orNil(move.From), "to": orNil(move.To), "share": move.Share}
	}
	return object{"after": plan.After, "movedShare": plan.MovedShare, "moves": moves}, nil
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
