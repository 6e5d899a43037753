package ringman

import "fmt"

// A Code names what went wrong, for errors.Is and for programs; the errors of this package wrap one.
type Code string

// Error is the code itself.
func (c Code) Error() string { return string(c) }

// What look-ups return.
const (
	ErrRingUnknown Code = "RING_UNKNOWN"   // no member has given its ring yet
	ErrRingStale   Code = "RING_STALE"     // with RefuseStale: no member has confirmed the ring for too long
	ErrRingEmpty   Code = "RING_EMPTY"     // the ring has no nodes
	ErrKeyEmpty    Code = "KEY_EMPTY"      // the key is empty
	ErrNOutOfRange Code = "N_OUT_OF_RANGE" // fewer than one owner were asked for
)

// What else goes wrong.
const (
	ErrConfigInvalid   Code = "CONFIG_INVALID"   // an option is missing or wrong
	ErrNodeInvalid     Code = "NODE_INVALID"     // a ring key, a weight or an address is wrong
	ErrPlanInvalid     Code = "PLAN_INVALID"     // a plan names a node twice, or one that is not there, or is already
	ErrMembersDisagree Code = "MEMBERS_DISAGREE" // a member knows less than half of the nodes, or an older version; logged
	ErrResponseInvalid Code = "RESPONSE_INVALID" // a member's answer is no ring; logged
	ErrTimeout         Code = "TIMEOUT"          // a member did not answer, or was silent; logged
	ErrUnreachable     Code = "UNREACHABLE"      // a member could not be reached; logged
	ErrUnsure          Code = "UNSURE"           // a member says that it was stopped or cut off; logged
)

// Made once: a look-up that fails allocates nothing.
var (
	errRingUnknown = fmt.Errorf("ringman: %w: no member has given its ring yet", ErrRingUnknown)
	errRingStale   = fmt.Errorf("ringman: %w: no member has confirmed the ring in time", ErrRingStale)
	errRingEmpty   = fmt.Errorf("ringman: %w: the ring has no nodes", ErrRingEmpty)
	errKeyEmpty    = fmt.Errorf("ringman: %w: the key is empty", ErrKeyEmpty)
	errUnsure      = fmt.Errorf("%w: a member was stopped or cut off, so that its ring may be old; another one is asked", ErrUnsure)
	errNOutOfRange = fmt.Errorf("ringman: %w: n is at least 1", ErrNOutOfRange)
)
