// Package archive is the layout of backups in a store: manifests, the pool of tables that backups share, what a backup is worth, and what may go.
//
//	<prefix>/<cluster UID>/owner.json                              whose this is; another cluster is refused
//	<prefix>/<cluster UID>/tables/<sha256>                         a table, shared by all backups of the cluster
//	<prefix>/<cluster UID>/tables/<sha256>.<backup>.age            the same, encrypted: two encryptions of one content differ, so each has its own name
//	<prefix>/<cluster UID>/backups/<backup>/files.tar.zst[.age]    what is not a table: MANIFEST, WAL, CURRENT
//	<prefix>/<cluster UID>/backups/<backup>/manifest.sha256        its checksum, for sha256sum
//	<prefix>/<cluster UID>/backups/<backup>/manifest.json          written last: a backup exists when this object does
//	<prefix>/<cluster UID>/locks/<purpose>-<id>.json               who is at work
//
// Manifests are the index; no name of an object says anything. An object that a manifest names is never written again, unless it is found broken and its content is known.
//
// Two hashes belong to everything: SHA256 of an Object is that of what lies in the bucket, so that a backup can be verified by who cannot decrypt it;
// SHA256 of an Entry is that of the plain content, compressed and encrypted by nothing, so that what is restored is what was saved.
package archive
