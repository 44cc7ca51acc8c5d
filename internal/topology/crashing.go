package topology

import (
	"fmt"
	"strings"
)

// crashLoop is how many starts make a loop of ends. A member that joins may end once or twice by itself (RobustMQ exits when its inner topics are not there within 5 to 10 s).
const crashLoop = 5

// aboutVolume are words with which RocksDB or the system says that a volume, or what is on it, is the reason for an end; everything else may have any cause.
var aboutVolume = []string{
	"Corruption:", "checksum mismatch", "Sst file size mismatch", "SST file is ahead of WALs", "IO error:", "Input/output error", "Read-only file system", "No space left on device", "Structure needs cleaning",
}

// crashText says of a server that ended by itself how often, and whether its words are about its volume. The volume is only named: while a quorum may need what is on it, nobody empties it but
// a person.
func crashText(pod string, a *Agent) string {
	text := fmt.Sprintf("%s: the server ended and will be started again: %s", pod, a.ServerExit)
	if a.Starts < crashLoop {
		return text
	}
	text = fmt.Sprintf("%s: the server ends again and again (%d starts): %s", pod, a.Starts, a.ServerExit)
	for _, words := range aboutVolume {
		if strings.Contains(a.ServerExit, words) {
			return text + "; its words are about its volume, which is suspected: if the other members are in service, stop it and wipe its volume, and it is seeded; nothing is emptied by itself"
		}
	}
	return text
}
