package rules

import (
	"fmt"

	"github.com/blang/semver/v4"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// versionRange is one entry of a policy's versions.
type versionRange struct {
	text string
	fits semver.Range
}

// versionRanges reads the entries. An error names the one that cannot be read; then there are none, as a part of them would forbid what the rest allows.
func versionRanges(entries []string) ([]versionRange, error) {
	var out []versionRange
	for _, e := range entries {
		fits, err := semver.ParseRange(e)
		if err != nil {
			return nil, fmt.Errorf("%q is no version and no range of versions", e)
		}
		out = append(out, versionRange{text: e, fits: fits})
	}
	return out, nil
}

func versionsAllowed(c *cluster, p *Policy, _ Context) []Violation {
	v, err := robustmq.ParseVersion(c.Spec.Version)
	if err != nil || len(p.versions) == 0 {
		return nil // VersionKnown says so
	}
	texts := make([]string, 0, len(p.versions))
	for _, r := range p.versions {
		if r.holds(v) {
			return nil
		}
		texts = append(texts, r.text)
	}
	return []Violation{{
		Field: versionField, Value: c.Spec.Version, Message: fmt.Sprintf("%s is none of the versions that may run here", v), WayOut: "write one that is " + quoted(texts),
	}}
}

// holds reports whether a version is in the range. A pre-release is only where it is written out: "<0.5.0" means no release candidate of 0.5.0, although semantic versioning has them before it.
func (r versionRange) holds(v robustmq.Version) bool {
	if v.Pre != "" {
		return r.text == v.String()
	}
	return r.fits(semver.Version{Major: uint64(v.Major), Minor: uint64(v.Minor), Patch: uint64(v.Patch)}) //nolint:gosec // ParseVersion reads digits only
}
