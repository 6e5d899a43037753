// Package crds pins the Go types of the Prometheus operator's objects and the program that makes their custom resource
// definitions of them, so that tests validate monitors and rules by the operator's own schemas.
package crds

import _ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
