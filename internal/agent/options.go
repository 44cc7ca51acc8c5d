package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/images"
	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Paths are the files and folders of a pod.
type Paths struct {
	ConfigFile, CredentialsDir, ServerTLSDir, PKIDir, RunDir, VolumeDir string
	ServerBinary, ServerDir                                             string
}

// PathsUnder are protocol's paths below root ("/" in a pod).
func PathsUnder(root string) Paths {
	at := func(path string) string { return filepath.Join(root, path) }
	return Paths{
		ConfigFile: at(protocol.ConfigFile), CredentialsDir: at(protocol.CredentialsDir), ServerTLSDir: at(protocol.ServerTLSDir), PKIDir: at(protocol.PKIDir),
		RunDir: at(protocol.RunDir), VolumeDir: at(protocol.VolumeDir),
		ServerBinary: at(protocol.ServerBinary), ServerDir: filepath.Dir(filepath.Dir(at(protocol.ServerBinary))),
	}
}

// Options are an agent's surroundings. Launcher, PodName and PodIP are required; the rest has the defaults of a pod.
type Options struct {
	PodName, PodIP string
	Version        string // of the agent
	// ServerVersion is the version of RobustMQ in the pod's image; empty: what the configuration says.
	ServerVersion string
	// Template is the hash of the pod template that the agent's container was started from; empty: not known.
	Template string
	Paths    Paths
	Launcher process.Launcher

	// ListenHost is where the agent listens; empty means every address.
	ListenHost string
	// Loopback is the address at which the server is reached; default 127.0.0.1, whose callers the server trusts.
	Loopback string
	// Port, PublicPort and MetricsPort replace protocol's, for agents that share an address; other agents are always asked at Port.
	Port, PublicPort, MetricsPort int
	// Resolve finds the addresses of a name in the DNS, and not in the pod's /etc/hosts (see resolver).
	Resolve func(ctx context.Context, host string) ([]string, error)
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)

	Timings        Timings
	Now            func() time.Time
	Log            *slog.Logger
	Stdout, Stderr io.Writer
	// OOMKills counts the out-of-memory kills of the container; false when it is not known.
	OOMKills func() (uint64, bool)
	// BootID is unique to this start of the agent.
	BootID string
	// CPUs is what the server sees; only 0.3.x needs it.
	CPUs int

	// FS is the data volume's file system for images; default the machine's.
	FS images.FS
	// StagingLimit bounds what is written for an image, in bytes; Reserve is what images leave free on the volume. Default 2 GiB and 256 MiB.
	StagingLimit int64
	Reserve      uint64
}

// Timings are how long the agent waits for what. See DefaultTimings for the values of a pod.
type Timings struct {
	Tick       time.Duration // how often the loop looks without being woken
	ConfigPoll time.Duration // how often mounted files are read
	VolumePoll time.Duration // how often the volume is looked at

	PulseFirst   time.Duration // between questions whether the server answers, until it does
	Pulse        time.Duration // the same afterwards
	PulseTimeout time.Duration `floor:"io"`
	HungAfter    time.Duration // without an answer, after one: kill and start again. Half of it: the pod is not ready

	ObserveSoon time.Duration // between looks at raft and node list until the pod is ready
	Observe     time.Duration // the same afterwards
	Cache       time.Duration // how old an observation may be in a State
	Survey      time.Duration // between surveys, which only the metrics see, at least
	Segments    time.Duration // between two lists of all segments, at the metadata leader
	Settings    time.Duration // how old an answer of the server about what it goes by may be: somebody may change that through the admin API
	Probe       time.Duration `floor:"io"` // limit of each part of an observation: twice it is how long a State takes at most

	ReadyWait time.Duration // how long /readyz waits for the pod to become ready before it says no: less than a kubelet waits for the answer

	NameWait time.Duration // for the own name in DNS before a start
	NamePoll time.Duration
	// NameSkip is how long a server may have been away with its pod and start without its name: less than RobustMQ takes to forget a node (27 to 30 s), and to start (up to 7 s).
	NameSkip time.Duration
	// NameGone is how long a server of a pod that is being ended waits for its name to be gone at most. It vanishes within a second of the pod's deletion, where nothing caches it.
	NameGone, NameGonePoll time.Duration
	JoinPoll               time.Duration // between looks for a member to join
	JoinDial               time.Duration `floor:"io"` // half of what the server itself allows a peer, so that it finds what was found

	Stop          time.Duration // from the stop signal to SIGKILL: the server ends by itself within 20 s
	BackoffFirst  time.Duration
	BackoffMax    time.Duration
	BackoffStable time.Duration // a run of this length is not a failed start

	Relay        time.Duration
	RelayTimeout time.Duration `floor:"io"`
	FenceProbe   time.Duration
	FenceTimeout time.Duration `floor:"io"`
	FenceAfter   time.Duration

	HoldMax     time.Duration // a terminating voter's server is held at most this long
	HoldPoll    time.Duration
	PeerTimeout time.Duration `floor:"io"`

	ImageTick  time.Duration // between looks at leases and space
	ImagePause time.Duration // between two attempts at an image during which the raft state changed
	ImageLease time.Duration `floor:"lease"` // an image lives so long without a call

	SeedPoll     time.Duration // between looks at the donor's image, and at the placing
	SeedRetry    time.Duration // before a call of the donor that failed is repeated
	SeedCall     time.Duration `floor:"io"` // limit of a call, a stream apart
	SeedIdle     time.Duration `floor:"io"` // a stream that is silent for so long is begun anew
	SeedPatience time.Duration `floor:"io"` // a donor that gives nothing for so long is given up

	TransferTick   time.Duration // between looks at a transfer of leadership that is under way
	TransferStop   time.Duration `floor:"io"` // for a server to be gone, and its logs to be read
	TransferCommit time.Duration // from the target's reservation: it takes over no later
	TransferLead   time.Duration // from the target's reservation: it leads, or gives up
	TransferHold   time.Duration // a former leader is held so long

	OrderWait time.Duration `floor:"io"` // a call waits this long for a server to be gone
	StartWait time.Duration `floor:"io"` // a call waits this long for a server to be started
}

// stopReserve is what a pod's grace period keeps for the stop itself, the kill and the agent's own end.
const stopReserve = 35 * time.Second

// DefaultTimings are those of a pod.
func DefaultTimings() Timings {
	return Timings{
		Tick: 200 * time.Millisecond, ConfigPoll: 2 * time.Second, VolumePoll: time.Second,
		PulseFirst: 200 * time.Millisecond, Pulse: 2 * time.Second, PulseTimeout: 5 * time.Second, HungAfter: 30 * time.Second,
		ObserveSoon: 500 * time.Millisecond, Observe: 5 * time.Second, Cache: 500 * time.Millisecond, Survey: 4 * time.Second, Segments: 15 * time.Second, Settings: 5 * time.Minute, Probe: 900 * time.Millisecond,
		ReadyWait: 700 * time.Millisecond,
		NameWait:  time.Minute, NamePoll: 250 * time.Millisecond, NameSkip: 15 * time.Second, NameGone: time.Second, NameGonePoll: 50 * time.Millisecond, JoinPoll: 500 * time.Millisecond, JoinDial: 250 * time.Millisecond,
		Stop: 25 * time.Second, BackoffFirst: time.Second, BackoffMax: 30 * time.Second, BackoffStable: time.Minute,
		Relay: 3 * time.Second, RelayTimeout: 1500 * time.Millisecond,
		FenceProbe: 3 * time.Second, FenceTimeout: 1500 * time.Millisecond, FenceAfter: 15 * time.Second,
		HoldMax: protocol.TerminationGracePeriod - stopReserve, HoldPoll: time.Second, PeerTimeout: 2 * time.Second,
		ImageTick: 2 * time.Second, ImagePause: time.Second, ImageLease: protocol.ImageLease,
		SeedPoll: 500 * time.Millisecond, SeedRetry: time.Second, SeedCall: 10 * time.Second, SeedIdle: 20 * time.Second, SeedPatience: 30 * time.Second,
		TransferTick: 100 * time.Millisecond, TransferStop: 5 * time.Second,
		TransferCommit: protocol.TransferCommitWithin, TransferLead: protocol.TransferLeadWithin, TransferHold: protocol.TransferHold,
		OrderWait: 40 * time.Second, StartWait: 5 * time.Second,
	}
}

const (
	// ioFloor is the least limit of real input and output: a loopback call on a busy machine needs it at any speed.
	ioFloor = 500 * time.Millisecond
	// leaseFloor is the least lease of an image: its caller is another process, with intervals of its own.
	leaseFloor = 30 * time.Second
	// waitFloor keeps a hurried loop from spinning.
	waitFloor = 5 * time.Millisecond
)

// Scale divides every timing by speed, so that a test lives faster; what limits real input and output stays above half a second.
func (t Timings) Scale(speed float64) Timings {
	v := reflect.ValueOf(&t).Elem()
	for i := range v.NumField() {
		floor := waitFloor
		switch v.Type().Field(i).Tag.Get("floor") {
		case "io":
			floor = ioFloor
		case "lease":
			floor = leaseFloor
		}
		full := time.Duration(v.Field(i).Int())
		v.Field(i).SetInt(int64(min(full, max(floor, time.Duration(float64(full)/speed)))))
	}
	return t
}

func (o Options) withDefaults() (Options, error) {
	if o.PodName == "" || o.PodIP == "" || o.Launcher == nil {
		return o, errors.New("agent: pod name, pod address and launcher are required")
	}
	if net.ParseIP(o.PodIP) == nil {
		return o, fmt.Errorf("agent: pod address %q is not an IP address", o.PodIP)
	}
	if o.Paths == (Paths{}) {
		o.Paths = PathsUnder("/")
	}
	if o.Loopback == "" {
		o.Loopback = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = protocol.Port
	}
	if o.PublicPort == 0 {
		o.PublicPort = protocol.PublicPort
	}
	if o.MetricsPort == 0 {
		o.MetricsPort = protocol.MetricsPort
	}
	if o.Resolve == nil {
		o.Resolve = resolver{resolvConf, dnsPort}.addresses
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if o.Timings == (Timings{}) {
		o.Timings = DefaultTimings()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.FS == nil {
		o.FS = images.OS{}
	}
	if o.OOMKills == nil {
		o.OOMKills = process.OOMKills
	}
	return o, nil
}
