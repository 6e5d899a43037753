module ringman.test/ringman-peer

go 1.25.0

require (
	github.com/Nitro/memberlist v0.0.0-20170522194404-cfac2b5cf519
	github.com/serialx/hashring v0.0.0-20190422032157-8b2912629002
	ringman.test/console v0.0.0
)

require (
	github.com/armon/go-metrics v0.3.10 // indirect
	github.com/hashicorp/errwrap v1.1.0 // indirect
	github.com/hashicorp/go-immutable-radix v1.0.0 // indirect
	github.com/hashicorp/go-msgpack v0.5.5 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/hashicorp/go-sockaddr v1.0.7 // indirect
	github.com/hashicorp/golang-lru v0.5.0 // indirect
	github.com/miekg/dns v1.1.73 // indirect
	github.com/sean-/seed v0.0.0-20170313163322-e2103e2c3529 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace ringman.test/console => ../console
