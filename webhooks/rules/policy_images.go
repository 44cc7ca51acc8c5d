package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// below is a name that stands below a registry, to read the registry as the beginning of an image's name.
const below = "/a/image"

// registries reads the entries as images have them: Docker Hub's several names become one. An error names the one that cannot be read; then there are none.
func registries(entries []string) ([]string, error) {
	var out []string
	for _, e := range entries {
		named, err := reference.ParseNormalizedNamed(e + below)
		if err != nil {
			return nil, fmt.Errorf("%q is no registry", e)
		}
		name := strings.TrimSuffix(named.Name(), below)
		if host, _, _ := strings.Cut(e, "/"); reference.Domain(named) != host && host != "index.docker.io" {
			return nil, fmt.Errorf("%q begins with no registry: write docker.io/%s", e, e) // such an image would be Docker Hub's
		}
		out = append(out, name)
	}
	return out, nil
}

func registriesAllowed(c *cluster, p *Policy, ctx Context) []Violation {
	if len(p.registries) == 0 {
		return nil
	}
	image := manifests.ServerImage(c, cmp.Or(ctx.ServerImage, manifests.DefaultServerImage))
	v := Violation{Field: spec.Child("image"), Value: image, WayOut: "name an image that comes from " + quoted(p.registries)}
	named, err := reference.ParseNormalizedNamed(image)
	switch {
	case err != nil:
		v.Message = "it cannot be said from which registry that comes: it is no name of an image"
	case slices.ContainsFunc(p.registries, func(r string) bool { return named.Name() == r || strings.HasPrefix(named.Name(), r+"/") }):
		return nil
	case c.Spec.Image == "":
		v.Message = fmt.Sprintf("the operator's own choice comes from %s, which is none of the registries that are allowed here", reference.Domain(named))
	default:
		v.Message = fmt.Sprintf("the image comes from %s, which is none of the registries that are allowed here", named.Name())
	}
	return []Violation{v}
}
