package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// Names in the run folder and in the volume.
const (
	serverFile = "server.toml"
	loggerFile = "logger.toml"
	logDir     = "logs"
	dataDir    = volume.DataDir
	engineDir  = volume.EngineDir
)

// mounted is what the operator has put into this pod, read and judged. The zero value: nothing was read yet.
type mounted struct {
	files files

	config   protocol.Config
	readable bool // config was understood, so that node, cluster and generation are known
	input    config.Input
	version  robustmq.Version
	traits   robustmq.Traits
	rendered config.Rendered
	hash     string    // of what takes a start to come into force
	live     string    // of what a running server takes in
	source   string    // of the configuration file as it is
	expires  time.Time // of the server's certificate
	problem  string    // what the server would die of
}

// files are the mounted files as they are.
type files struct {
	config, cert, key                                []byte
	adminUser, adminPassword, mqttUser, mqttPassword []byte
	jwtSecret                                        []byte
	problem                                          string // a file that could not be read
}

func (f files) equal(o files) bool {
	return f.problem == o.problem && bytes.Equal(f.config, o.config) && bytes.Equal(f.cert, o.cert) && bytes.Equal(f.key, o.key) &&
		bytes.Equal(f.adminUser, o.adminUser) && bytes.Equal(f.adminPassword, o.adminPassword) &&
		bytes.Equal(f.mqttUser, o.mqttUser) && bytes.Equal(f.mqttPassword, o.mqttPassword) && bytes.Equal(f.jwtSecret, o.jwtSecret)
}

// readFiles reads everything; a file that is missing is noted and the others are read all the same.
func readFiles(p Paths) files {
	var f files
	for path, into := range map[string]*[]byte{
		p.ConfigFile: &f.config,
		filepath.Join(p.CredentialsDir, "admin", "username"): &f.adminUser, filepath.Join(p.CredentialsDir, "admin", "password"): &f.adminPassword,
		filepath.Join(p.CredentialsDir, "mqtt", "username"): &f.mqttUser, filepath.Join(p.CredentialsDir, "mqtt", "password"): &f.mqttPassword,
		filepath.Join(p.CredentialsDir, "jwt", "secret"): &f.jwtSecret,
		filepath.Join(p.ServerTLSDir, "tls.crt"):         &f.cert, filepath.Join(p.ServerTLSDir, "tls.key"): &f.key,
	} {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.problem = err.Error()
		}
		*into = content
	}
	return f
}

// read judges the files of this pod.
func (o Options) read(f files) mounted {
	m := mounted{files: f}
	fail := func(format string, args ...any) mounted {
		m.problem = fmt.Sprintf(format, args...)
		return m
	}
	if f.problem != "" {
		return fail("%s", f.problem)
	}
	if f.config == nil {
		return fail("%s is missing", o.Paths.ConfigFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(f.config))
	decoder.UseNumber() // 70.0 stays a float in server.toml, and large numbers stay exact
	if err := decoder.Decode(&m.config); err != nil {
		return fail("%s cannot be read: %v", filepath.Base(o.Paths.ConfigFile), err)
	}
	if m.config.ClusterUID == "" {
		return fail("%s has no clusterUID", filepath.Base(o.Paths.ConfigFile))
	}
	ordinal, err := ordinalOf(o.PodName)
	if err != nil {
		return fail("%v", err)
	}
	m.readable = true
	m.input = config.Input{
		Config: m.config, Pod: o.PodName, Ordinal: ordinal, CPUs: o.CPUs,
		Credentials: config.Credentials{
			AdminUsername: string(f.adminUser), AdminPassword: string(f.adminPassword),
			MQTTUsername: string(f.mqttUser), MQTTPassword: string(f.mqttPassword), JWTSecret: string(f.jwtSecret),
		},
		Paths: config.Paths{
			Data: filepath.Join(o.Paths.VolumeDir, dataDir), Engine: filepath.Join(o.Paths.VolumeDir, engineDir),
			Logger: filepath.Join(o.Paths.RunDir, loggerFile), Log: filepath.Join(o.Paths.RunDir, logDir),
			TLSCert: filepath.Join(o.Paths.ServerTLSDir, "tls.crt"), TLSKey: filepath.Join(o.Paths.ServerTLSDir, "tls.key"),
		},
	}
	m.source = config.Hash(f.config, nil, m.config.ClusterUID)
	if o.ServerVersion != "" {
		m.config.Version = o.ServerVersion
		m.input.Config.Version = o.ServerVersion
	}
	m.version, err = robustmq.ParseVersion(m.config.Version)
	if err != nil {
		return fail("version: %v", err)
	}
	m.traits = robustmq.Lookup(m.version)
	m.rendered, err = config.Render(m.input)
	if err != nil {
		return fail("%v", err)
	}
	m.hash = config.Hash(m.rendered.Static, f.cert, m.config.ClusterUID)
	m.live = config.Hash(m.rendered.Live, nil, m.config.ClusterUID)
	m.expires, err = precheck(m.input, m.version, m.traits, f.cert, f.key)
	if err != nil {
		return fail("%v", err)
	}
	return m
}

// warning is what the server lives with though its users may not.
func (m mounted) warning(now time.Time) string {
	if !m.expires.IsZero() && now.After(m.expires) {
		return fmt.Sprintf("the server's certificate expired at %s", m.expires.UTC().Format(time.RFC3339))
	}
	return ""
}

func (m mounted) islands() bool {
	return m.config.Islands || m.traits.Tier == robustmq.TierIslands
}

// isMeta reports whether this pod's server has raft groups.
func (m mounted) isMeta() bool { return m.isVoterRole() || m.islands() }

// isVoterRole reports whether this pod is of the placement centre.
func (m mounted) isVoterRole() bool { return m.config.Role == config.RolePlacementCenter }

func (m mounted) nodeID() uint64 { return m.input.NodeID() }

// member returns a member of the placement centre.
func (m mounted) member(id uint64) (protocol.Member, bool) {
	for _, member := range m.config.Members {
		if member.NodeID == id {
			return member, true
		}
	}
	return protocol.Member{}, false
}

// ordinalOf reads the ordinal out of a StatefulSet's pod name.
func ordinalOf(pod string) (uint64, error) {
	i := strings.LastIndexByte(pod, '-')
	n, err := strconv.ParseUint(pod[i+1:], 10, 31)
	if err != nil || i < 1 {
		return 0, fmt.Errorf("pod name %q does not end in an ordinal", pod)
	}
	return n, nil
}
