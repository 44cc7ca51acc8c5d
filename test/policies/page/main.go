// Command page writes docs/policies.md: the tables of rules, each with an example that is refused and one that is let in. The examples are cases of the corpus, so they are tested.
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	command "github.com/robustmq/robustmq-operator/cmd/operator/validate"
	"github.com/robustmq/robustmq-operator/config/crd"
	"github.com/robustmq/robustmq-operator/internal/validate"
	"github.com/robustmq/robustmq-operator/test/policies"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: page CORPUS FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func run(corpus, file string) error {
	cases, err := policies.Load(corpus)
	if err != nil {
		return err
	}
	definitions, err := validate.Load(crd.Files)
	if err != nil {
		return err
	}
	p := &page{cases: cases, definitions: definitions}
	if err := p.write(context.Background()); err != nil {
		return err
	}
	return os.WriteFile(file, p.out.Bytes(), 0o644) //nolint:gosec // documentation
}

// row is one rule of any table.
type row struct {
	name, why, wayOut string
	kinds             []string
	operations        []rules.Operation
	action            rules.Action
	escape            v1alpha1.UnsafeEscape
}

func rows[T any](table []rules.Rule[T]) []row {
	var out []row
	for _, r := range table {
		out = append(out, row{r.Name, r.Why, r.WayOut, r.Kinds, r.Operations, r.DefaultAction, r.Escape})
	}
	return out
}

type page struct {
	out         bytes.Buffer
	cases       []*policies.Case
	definitions *validate.Definitions
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

const intro = `# Policies: what may be said, and what may not

<!-- Made from the tables in webhooks/rules and the cases in test/policies by ` + "`make generate`" + `. Do not edit. -->

Every rule is asked as early as it can be, and again where that could be bypassed:

* **schema**: the CustomResourceDefinition, with its CEL. It holds with no operator running.
* **webhook**: what needs more than one object, or more than CEL can say. ` + "`kubectl apply --dry-run=server`" + ` asks it too, and so does an autoscaler through ` + "`/scale`" + `.
* **guard**: the same functions when a cluster is reconciled, in case no webhook was there. It sets the conditions Ready=False and Degraded=True with the reason SpecInvalid, and writes nothing but the status.
  Settings that the servers run with already, since another release of the operator let them in, keep nobody from being repaired.
* **live**: asked of the running cluster right before the operator acts.

A refusal names the field, the value, the rule and the way out. A rule with an *escape* is taken off by listing that in ` + "`spec.unsafe`" + `; there is no switch for all of them.
A RobustMQPolicy can make rules stricter, forbid escapes and require more (see [Requirements](#requirements-of-robustmqpolicies)); it cannot lower what is refused here.

## Before it reaches a cluster

` + "`robustmq-operator validate`" + ` asks the schema and the rules offline, for the CI of those who keep clusters in git:

    robustmq-operator validate -f deploy/
    kustomize build overlays/production | robustmq-operator validate -f - --policy policies/
    robustmq-operator validate -f cluster.yaml --against live.yaml -o json

It reads files, folders and the standard input, many documents each. RobustMQPolicies and Namespaces among them (or with ` + "`--policy`" + `) apply; other kinds are passed over (` + "`-v`" + ` and json say which).
With ` + "`--against`" + `, which holds what exists (` + "`kubectl get robustmq -A -o yaml`" + `), the change is judged, so the rules about changes are asked too.

Exit code: 0 everything would be let in, with or without warnings; 1 something would be refused; 2 a wrong flag, or something that cannot be read, so that nothing can be said of it.
Text is one line a finding, ` + "`file:line: error|warning: kind namespace/name, document n: field: message`" + `, and a line that sums up. ` + "`-o json`" + ` is one object:

| field | meaning |
| --- | --- |
| ` + "`version`" + ` | 1. It changes when a field is taken away or means something else; new fields may come. |
| ` + "`verdict`" + ` | ` + "`allowed`, `warned` or `refused`" + `: the worst of the objects |
| ` + "`objects[]`" + ` | ` + "`file`, `document` (from 1), `line`, `apiVersion`, `kind`, `namespace`, `name`, `verdict`, `findings[]`" + ` |
| ` + "`objects[].findings[]`" + ` | ` + "`severity` (`error`, `warning`), `line`, `rule` (as below; `Schema` for the shape), `field`, `value` (left out where it is none or may not be repeated), `message`" + ` |
| ` + "`unreadable[]`" + ` | ` + "`file`, `document`, `line`, `message`" + ` |
| ` + "`passedOver[]`" + ` | ` + "`file`, `document`, `line`, `kind`" + ` (left out where nothing of robustmq.io was in it) |

A document may have 1.5 MiB, 3 MiB and 200 000 values with its anchors written out, and 100 levels; all objects together 64 MiB. A key that stands twice in one object is an error.
`

func (p *page) write(ctx context.Context) error {
	p.out.WriteString(intro)
	for _, section := range []struct {
		title string
		rows  []row
	}{
		{"Rules of clusters", rows(rules.Clusters)}, {"Rules of backups", rows(rules.Backups)}, {"Rules of restores", rows(rules.Restores)},
		{"Rules of policies", rows(rules.Policies)}, {"Requirements of RobustMQPolicies", rows(rules.PolicyRules)},
	} {
		p.line("\n## %s\n", section.title)
		p.line("| rule | what follows | where | escape |\n| --- | --- | --- | --- |")
		for _, r := range section.rows {
			escape := string(r.escape)
			if escape == "" {
				escape = "none"
			}
			p.line("| [%s](#%s) | %s | %s | %s |", r.name, strings.ToLower(r.name), follows(r.action), strings.Join(p.where(r), ", "), escape)
		}
		for _, r := range section.rows {
			if err := p.rule(ctx, r); err != nil {
				return fmt.Errorf("rule %s: %w", r.name, err)
			}
		}
	}
	return nil
}

func follows(a rules.Action) string {
	if a == rules.Warn {
		return "warning"
	}
	return "refused"
}

// where a rule holds, as its cases prove it.
func (p *page) where(r row) []string {
	out := []string{"webhook"}
	for _, h := range []struct {
		hold policies.Hold
		name string
	}{{policies.HeldBySchema, "schema"}, {policies.HeldByGuard, "guard"}, {policies.HeldLive, "live"}} {
		if slices.ContainsFunc(p.cases, func(c *policies.Case) bool {
			return c.Rule == r.name && c.Expect == policies.Refused && c.WithoutWebhooks == h.hold
		}) {
			out = append(out, h.name)
		}
	}
	return out
}

func (p *page) rule(ctx context.Context, r row) error {
	p.line("\n### %s\n\n%s\n", r.name, r.why)
	var operations []string
	for _, o := range r.operations {
		operations = append(operations, strings.ToLower(string(o)))
	}
	p.line("Asked of %s, at %s.", strings.Join(r.kinds, ", "), strings.Join(operations, ", "))
	if r.wayOut != "" {
		p.line("Way out: %s.", r.wayOut)
	}
	against := policies.Refused
	bad := p.example(r.name, against)
	if bad == nil {
		against = policies.Warned
		bad = p.example(r.name, against)
	}
	if bad != nil {
		p.line("\n%s (%s):\n\n%s", strings.ToUpper(string(against[:1]))+string(against[1:]), strings.TrimSuffix(bad.Title, "."), text(bad))
		said, err := p.said(ctx, bad)
		if err != nil {
			return err
		}
		if said != "" {
			p.line("\n> %s", said)
		}
	}
	if good := p.example(r.name, policies.Allowed); good != nil {
		p.line("\nAllowed (%s):\n\n%s", strings.TrimSuffix(good.Title, "."), text(good))
	}
	return nil
}

// example is the case that says it is one, or the shortest.
func (p *page) example(rule string, verdict policies.Verdict) *policies.Case {
	var found []*policies.Case
	for _, c := range p.cases {
		if c.Rule == rule && c.Expect == verdict {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil
	}
	size := func(c *policies.Case) int {
		if c.ShownAsAnExample {
			return 0
		}
		return len(strings.Join(c.Texts, ""))
	}
	return slices.MinFunc(found, func(a, b *policies.Case) int {
		return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(a.Name, b.Name))
	})
}

func text(c *policies.Case) string {
	s := "```yaml\n" + strings.Join(c.Texts, "---\n") + "```"
	switch c.Operation {
	case policies.Scale:
		s += fmt.Sprintf("\n\nand then `kubectl scale --replicas=%d`", c.Replicas)
	case policies.Delete:
		s += "\n\nand then `kubectl delete`"
	}
	return s
}

// said is what validate says of the case; of what it cannot know, the parts that the case names.
func (p *page) said(ctx context.Context, c *policies.Case) (string, error) {
	if c.Operation == policies.Apply {
		in := command.Input{KnowsExisting: true, ServerImage: "ghcr.io/robustmq/robustmq:v{version}"}
		for i, t := range c.Texts {
			into := &in.Existing
			if i == len(c.Texts)-1 {
				into = &in.Files
			}
			if err := into.Read(c.Path, strings.NewReader(t), func(_, kind string) bool { return kind != "Secret" }); err != nil {
				return "", err
			}
		}
		r, err := command.Judge(ctx, p.definitions, in)
		if err != nil {
			return "", err
		}
		for _, o := range r.Objects {
			for _, f := range o.Findings {
				if f.Rule == c.Rule {
					return f.Field + ": " + f.Message, nil
				}
			}
		}
	}
	return strings.Join(c.Says, " … "), nil
}
