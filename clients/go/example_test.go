package ringman_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"ringman"
)

func Example() {
	ctx := context.Background()
	client, err := ringman.New(ringman.Options{URLs: []string{"http://ringman.default.svc:8080"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Ready(ctx); err != nil {
		log.Fatal(err)
	}

	owner, err := client.Owner("user:42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(owner.Address, owner.Port)
}

func ExampleClient_Changes() {
	client, err := ringman.New(ringman.Options{
		URLs: []string{"http://ringman.default.svc:8080"},
		Ring: "shop/cache", // the HashRing "cache" in the namespace "shop"
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for change := range client.Changes(context.Background()) {
		moved := change.Moved()
		fmt.Printf("%d nodes; %.1f %% of the keys moved\n", change.Ring.Len(), moved.Share()*100)
		fmt.Println("user:42 moved:", moved.Contains("user:42"))
	}
}

func ExampleTransport() {
	client, err := ringman.New(ringman.Options{URLs: []string{"http://ringman.default.svc:8080"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	rooms := &http.Client{Transport: &ringman.Transport{
		Client: client,
		Key:    func(request *http.Request) string { return request.Header.Get("X-Room") },
	}}
	request, err := http.NewRequest(http.MethodGet, "http://rooms.example/rooms/7", nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("X-Room", "7")
	answer, err := rooms.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
}

func ExampleRing_MovedTo() {
	before, err := ringman.NewRing(ringman.Node{RingKey: "10.0.0.1:8000", Weight: 1}, ringman.Node{RingKey: "10.0.0.2:8000", Weight: 1})
	if err != nil {
		log.Fatal(err)
	}
	after, err := ringman.NewRing(append(before.Nodes(), ringman.Node{RingKey: "10.0.0.3:8000", Weight: 1})...)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"user:1", "user:2", "user:3", "user:4"} {
		if stretch, moved := before.MovedTo(after).Find(key); moved {
			fmt.Println(key, "goes from", stretch.From.RingKey, "to", stretch.To.RingKey)
		}
	}
	// Output:
	// user:1 goes from 10.0.0.2:8000 to 10.0.0.3:8000
	// user:4 goes from 10.0.0.1:8000 to 10.0.0.3:8000
}
