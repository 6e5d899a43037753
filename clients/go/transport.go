package ringman

import (
	"net/http"
	"strconv"
)

// A Transport is an [http.RoundTripper] that sends each request to the owner of its key. Path, Host header and all else
// stay as they are. With https the owner needs a certificate for its address, unless the TLSClientConfig of Base names
// another server.
//
// A request that fails is not sent to the next owner: whether it may be, only the caller knows.
type Transport struct {
	Client *Client

	// Key finds the key of a request, which it does not change.
	Key func(*http.Request) string

	// Base sends the requests. Nil: [http.DefaultTransport].
	Base http.RoundTripper
}

// RoundTrip sends a request to the owner of its key. The errors are those of [Client.Owner], [ErrNodeInvalid] for an
// owner without an address, and those of Base.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	host, err := t.owner(request)
	if err != nil {
		// A RoundTripper closes the body, also on errors.
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	sent := request.Clone(request.Context())
	if sent.Host == "" {
		sent.Host = request.URL.Host
	}
	sent.URL.Host = host
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	response, err := base.RoundTrip(sent)
	if response != nil {
		// Redirects and cookies go by the URL of the request that was given.
		response.Request = request
	}
	return response, err
}

func (t *Transport) owner(request *http.Request) (string, error) {
	node, err := t.Client.Owner(t.Key(request))
	if err != nil {
		return "", err
	}
	if node.Port == 0 {
		node.Port, _ = strconv.Atoi(request.URL.Port())
	}
	return node.HostPort()
}
