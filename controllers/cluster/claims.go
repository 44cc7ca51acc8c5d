package cluster

import "strings"

// claimPrefix is the name of the volume claim template: claims are called <template>-<pod>.
const claimPrefix = "data-"

// podOfClaim returns the pod that a volume claim belongs to by its name.
func podOfClaim(claim string) (pod string, ok bool) { return strings.CutPrefix(claim, claimPrefix) }
