package images

import (
	"encoding/hex"
	"math"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// checkPlacement judges a request by itself.
func checkPlacement(r protocol.PlacementRequest) error {
	if err := CheckID(r.ID); err != nil {
		return err
	}
	switch {
	case r.Origin != protocol.OriginSeeded && r.Origin != protocol.OriginRestored:
		return refuse(protocol.ReasonBadRequest, "origin %.80q is neither Seeded nor Restored", r.Origin)
	case r.ClusterUID == "" || r.NodeID == 0 || r.Generation < 0:
		return refuse(protocol.ReasonBadRequest, "clusterUID %.80q, nodeID %d, generation %d: whose volume is it?", r.ClusterUID, r.NodeID, r.Generation)
	}
	if err := CheckFiles(r.Files); err != nil {
		return err
	}
	return CheckEdits(r.Edits)
}

// CheckFiles judges the files of an image by themselves. It admits the names that a database has and no others: they become names of files in the volume.
func CheckFiles(files []protocol.PlacementFile) error {
	if len(files) == 0 || len(files) > protocol.MaxPlacementFiles {
		return refuse(protocol.ReasonBadRequest, "files: %d, an image has 1 to %d", len(files), protocol.MaxPlacementFiles)
	}
	seen := make(map[string]bool, len(files))
	kinds := map[rocksdb.FileKind]int{}
	total := int64(0)
	for _, f := range files {
		kind, n := rocksdb.ParseFileName(f.Name)
		canonical := map[rocksdb.FileKind]string{
			rocksdb.TableFile: rocksdb.TableName(n), rocksdb.WALFile: rocksdb.WALName(n), rocksdb.ManifestFile: rocksdb.ManifestName(n), rocksdb.CurrentFile: rocksdb.CurrentName,
		}[kind]
		sum, err := hex.DecodeString(f.SHA256)
		switch {
		case canonical == "" || canonical != f.Name:
			return refuse(protocol.ReasonBadRequest, "file %.80q is none of an image: it has tables (000001.sst), a write-ahead log (000002.log), a MANIFEST-000003 and CURRENT", f.Name)
		case seen[f.Name]:
			return refuse(protocol.ReasonBadRequest, "file %s is there twice", f.Name)
		case f.Size < 0 || f.Size > math.MaxInt64-total:
			return refuse(protocol.ReasonBadRequest, "file %s has a size of %d", f.Name, f.Size)
		case err != nil || len(sum) != 32 || hex.EncodeToString(sum) != f.SHA256:
			return refuse(protocol.ReasonBadRequest, "file %s has sha256 %.80q: 64 hexadecimal digits in lower case are wanted", f.Name, f.SHA256)
		}
		seen[f.Name] = true
		kinds[kind]++
		total += f.Size
	}
	if kinds[rocksdb.CurrentFile] != 1 || kinds[rocksdb.ManifestFile] != 1 {
		return refuse(protocol.ReasonBadRequest, "files: an image has one CURRENT and one MANIFEST, this one %d and %d", kinds[rocksdb.CurrentFile], kinds[rocksdb.ManifestFile])
	}
	return nil
}

// CheckEdits judges edits by themselves.
func CheckEdits(e protocol.PlacementEdits) error {
	for group, vote := range e.Votes {
		if err := checkGroup(group); err != nil {
			return err
		}
		if vote.Term == 0 || vote.Committed && vote.NodeID == 0 { // an uncommitted one may be for nobody: the term was heard of, and nobody was voted for in it
			return refuse(protocol.ReasonBadRequest, "vote of group %s: term %d, which may not be 0, for node %d, which must be one where the vote is committed", group, vote.Term, vote.NodeID)
		}
	}
	for group, m := range e.Memberships {
		if err := checkGroup(group); err != nil {
			return err
		}
		if len(m.Addresses) == 0 || len(m.Voters) != len(m.Addresses) {
			return refuse(protocol.ReasonBadRequest, "membership of group %s: %d voters and %d addresses; every member is a voter with an address", group, len(m.Voters), len(m.Addresses))
		}
		for _, id := range m.Voters {
			if m.Addresses[id] == "" || id == 0 {
				return refuse(protocol.ReasonBadRequest, "membership of group %s: voter %d has no address", group, id)
			}
		}
	}
	return checkRegistry(e.Registry)
}

func checkRegistry(nodes []protocol.RegistryNode) error {
	seen := map[uint64]bool{}
	for _, n := range nodes {
		if n.ID == 0 || n.Host == "" || seen[n.ID] {
			return refuse(protocol.ReasonBadRequest, "registry: node %d of host %.80q: an id of its own and a host are needed", n.ID, n.Host)
		}
		seen[n.ID] = true
		p := n.Ports
		for _, port := range []int32{p.GRPC, p.HTTP, p.Engine, p.MQTT, p.MQTTS, p.WS, p.WSS, p.Kafka, p.NATS, p.NATSTLS, p.NATSWS, p.NATSWSS} {
			if port < 0 || port > math.MaxUint16 {
				return refuse(protocol.ReasonBadRequest, "registry: node %d has port %d", n.ID, port)
			}
		}
	}
	return nil
}

func checkGroup(group string) error {
	if !slices.Contains(robustmq.Groups, group) {
		return refuse(protocol.ReasonBadRequest, "raft group %.80q is none of %v", group, robustmq.Groups)
	}
	return nil
}

// edits of an image, in an order that is the same for the same request.
func edits(e protocol.PlacementEdits, now uint64) ([]image.Edit, error) {
	var list []image.Edit
	for _, group := range robustmq.Groups {
		if v, ok := e.Votes[group]; ok {
			list = append(list, image.SetVote(group, image.Vote{Term: v.Term, Node: v.NodeID, Committed: v.Committed}))
		}
		if m, ok := e.Memberships[group]; ok {
			list = append(list, image.SetMembership(group, image.Membership{LogID: m.LogID, Addresses: m.Addresses}))
		}
	}
	if len(e.Registry) == 0 {
		return list, nil
	}
	nodes := make([]image.RegisteredNode, 0, len(e.Registry))
	for _, n := range e.Registry {
		p := n.Ports
		nodes = append(nodes, image.RegisteredNode{
			ID: n.ID, Host: n.Host, Roles: n.Roles, Folders: n.Folders, Started: now, Registered: now, Created: now,
			Ports: image.NodePorts{
				GRPC: uint16(p.GRPC), HTTP: uint16(p.HTTP), Engine: uint16(p.Engine), MQTT: uint16(p.MQTT), MQTTS: uint16(p.MQTTS), WebSocket: uint16(p.WS), WebSockets: uint16(p.WSS),
				QUIC: uint16(p.MQTTS), NATS: uint16(p.NATS), NATSTLS: uint16(p.NATSTLS), NATSWS: uint16(p.NATSWS), NATSWSS: uint16(p.NATSWSS), Kafka: uint16(p.Kafka),
			},
		})
	}
	registry, err := image.RewriteRegistry(nodes)
	return append(list, registry...), err
}
