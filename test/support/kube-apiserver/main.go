// Command control-plane runs one part of a Kubernetes control plane, for tests against the real thing: etcd,
// kube-apiserver or kube-controller-manager. They share one executable, because they share most of their code.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // kube-apiserver validates the time zones of CronJobs

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	var part string
	if len(os.Args) > 1 {
		part = os.Args[1]
		// Each part finds its own name and arguments, as if it had been started by itself.
		os.Args = os.Args[1:]
	}
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	default:
		fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager ARGUMENTS")
		os.Exit(2)
	}
}
