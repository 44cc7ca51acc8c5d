package catalogue

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Problem says what is wrong with a value, or nothing. value is what JSON decodes to, numbers as json.Number; the answer reads on from the setting's name and does not
// repeat the value, which may be a secret.
func (s Setting) Problem(value any) string {
	switch s.Type {
	case Bool:
		if _, ok := value.(bool); !ok {
			return s.wants(value)
		}
	case Text:
		if _, ok := value.(string); !ok {
			return s.wants(value)
		}
	case Enum:
		text, ok := value.(string)
		switch {
		case !ok:
			return s.wants(value)
		case !slices.Contains(s.Values, text):
			return "takes " + s.Takes() + ", and this is none of them"
		}
	case List:
		return s.listProblem(value)
	case Table:
		return "is a table, which cannot be set here"
	default:
		return s.numberProblem(value)
	}
	return ""
}

func (s Setting) listProblem(value any) string {
	list, ok := value.([]any)
	if !ok {
		return s.wants(value)
	}
	if len(s.Values) > 0 && len(list) == 0 {
		return s.wants(value) + " that is empty"
	}
	for i, item := range list {
		text, ok := item.(string)
		switch {
		case !ok:
			return fmt.Sprintf("takes strings, and item %d is %s", i, kind(item))
		case len(s.Values) > 0 && !slices.Contains(s.Values, text):
			return fmt.Sprintf("takes %s, and item %d is none of them", oneOf(s.Values), i)
		}
	}
	return ""
}

func (s Setting) numberProblem(value any) string {
	n, ok := value.(json.Number)
	if !ok {
		return s.wants(value)
	}
	low, high := s.Range()
	if s.Type == F32 {
		f, err := n.Float64()
		if err != nil || f < float64(low) || f > float64(high) || math.IsNaN(f) {
			return "takes " + s.Takes() + ", and this is not within"
		}
		return ""
	}
	// A number with a fraction or an exponent would be written as a float, which ends the server, be it whole or not.
	if strings.ContainsAny(n.String(), ".eE") {
		return s.wants(value) + " with a fraction or an exponent"
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || i < low || i > high {
		return "takes " + s.Takes() + ", and this is not within"
	}
	return ""
}

func (s Setting) wants(value any) string {
	return "takes " + s.Takes() + ", and this is " + kind(value)
}

// Takes describes what the setting takes: "a whole number of milliseconds from 1 to 60000".
func (s Setting) Takes() string {
	low, high := s.Range()
	switch s.Type {
	case Bool:
		return "true or false"
	case Text:
		return "a string"
	case Enum:
		return oneOf(s.Values)
	case List:
		if len(s.Values) > 0 {
			return "a list of " + strings.Join(s.Values, ", ")
		}
		return "a list of strings"
	case Table:
		return "a table of strings"
	case F32:
		return "a number" + s.Unit.words() + fmt.Sprintf(" from %d to %d", low, high)
	default:
		return "a whole number" + s.Unit.words() + fmt.Sprintf(" from %d to %d", low, high)
	}
}

// Example is a value as one writes it in YAML; empty where any text would do.
func (s Setting) Example() string {
	value := s.Default
	switch {
	case value != nil:
	case s.Type == Enum:
		value = s.Values[0]
	case s.Type == Text:
		return ""
	default:
		value, _ = s.Range()
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.Trim(string(raw), `"`)
}

func (u Unit) words() string {
	if u == "" {
		return ""
	}
	return " of " + map[Unit]string{Millis: "milliseconds", Seconds: "seconds", Minutes: "minutes", Hours: "hours", Bytes: "bytes", Percent: "percent"}[u]
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "one of " + strings.Join(values, ", ")
}

// kind names what a JSON value is.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth value"
	case string:
		return "a string"
	case json.Number, float64, int64, int:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}
