// Package ringman answers "which instance owns this key?" for everything that runs in a Kubernetes cluster. The members
// of ringman keep the same consistent hash ring; a [Client] keeps a copy of it, and answers from that copy without a
// request.
//
//	client, err := ringman.New(ringman.Options{URLs: []string{"http://ringman.default.svc:8080"}})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	if err := client.Ready(ctx); err != nil {
//		return err
//	}
//	node, err := client.Owner("user:42")
//
// [Client.Changes] tells what moved, and [Transport] sends HTTP requests to the owners of their keys.
//
// The copy is never given up: while no member can be reached, look-ups go on, and [Client.Age] says how old it is.
package ringman
