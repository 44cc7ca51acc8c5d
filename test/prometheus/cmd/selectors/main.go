// Selectors reads PromQL expressions, a JSON string a line, and answers each with a line: the series that it selects, or why it is no expression. Prometheus' own parser reads them, so that tests of the product can judge
// expressions without that parser among the product's modules.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

// answer is the line about one expression; Error is empty for one that can be parsed.
type answer struct {
	Error     string     `json:"error,omitempty"`
	Selectors []selector `json:"selectors"`
}

// selector is one vector selector: the metric's name, and its other matchers as they would be written, by label.
type selector struct {
	Metric   string            `json:"metric"`
	Matchers map[string]string `json:"matchers"`
}

func main() {
	if err := answerAll(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "selectors:", err)
		os.Exit(1)
	}
}

func answerAll(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	encode := json.NewEncoder(out)
	p := parser.NewParser(parser.Options{})
	for lines.Scan() {
		var expression string
		if err := json.Unmarshal(lines.Bytes(), &expression); err != nil {
			return fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		if err := encode.Encode(look(p, expression)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return lines.Err()
}

func look(p parser.Parser, expression string) answer {
	tree, err := p.ParseExpr(expression)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var a answer
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			s := selector{Metric: v.Name, Matchers: map[string]string{}}
			for _, m := range v.LabelMatchers {
				if m.Name != "__name__" {
					s.Matchers[m.Name] = m.Type.String() + m.Value
				}
			}
			a.Selectors = append(a.Selectors, s)
		}
		return nil
	})
	return a
}
