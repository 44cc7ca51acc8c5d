package simulator

import (
	"fmt"
	"strconv"
	"strings"
)

// envPrefix starts the variables that override keys of the file.
const envPrefix = "ROBUST_MQ_SERVER_"

// eachKey walks the file line by line, as RobustMQ's own rewriting does: headers are lines that begin with a bracket, keys are what stands before the first equals sign.
func eachKey(content string, visit func(line int, section, key string)) {
	section := ""
	for i, line := range strings.Split(content, "\n") {
		trimmed := strings.ReplaceAll(strings.TrimSpace(line), " ", "")
		if strings.HasPrefix(trimmed, "[") {
			section = strings.Trim(trimmed, "[]")
			visit(i, section, "")
			continue
		}
		key, _, ok := strings.Cut(trimmed, "=")
		if !ok || strings.HasPrefix(trimmed, "#") {
			continue
		}
		visit(i, section, strings.Trim(key, `"`))
	}
}

// override pastes the values of matching variables after the equals sign, before anything is parsed (robustmq-server.md 1.3).
func override(content string, environ []string) string {
	values := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, envPrefix) {
			values[name] = value
		}
	}
	if len(values) == 0 {
		return content
	}
	lines := strings.Split(content, "\n")
	eachKey(content, func(line int, section, key string) {
		name := strings.ToUpper(strings.NewReplacer(".", "_").Replace(envPrefix + strings.TrimPrefix(join(section, key), ".")))
		if value, ok := values[name]; ok && key != "" {
			lines[line] = key + " = " + value
		}
	})
	return strings.Join(lines, "\n")
}

// locate finds where a key's value begins (1-based), or its section's header when key is empty.
func locate(content, section, key string) (row, column int) {
	lines := strings.Split(content, "\n")
	eachKey(content, func(line int, s, k string) {
		if row != 0 || s != section || k != key {
			return
		}
		row, column = line+1, 1
		if key != "" {
			at := strings.Index(lines[line], "=") + 1
			for at < len(lines[line]) && lines[line][at] == ' ' {
				at++
			}
			column = at + 1
		}
	})
	return row, column
}

// tomlError is the message of the TOML parser: line, column, the line itself, and what is wrong.
func tomlError(content string, row, column int, what string) error {
	lines := strings.Split(content, "\n")
	text := ""
	if row >= 1 && row <= len(lines) {
		text = lines[row-1]
	}
	gutter := strings.Repeat(" ", len(strconv.Itoa(row)))
	return &configError{fmt.Sprintf("TOML parse error at line %d, column %d\n%s |\n%d | %s\n%s | %s^\n%s\n",
		row, column, gutter, row, text, gutter, strings.Repeat(" ", max(column-1, 0)), what)}
}

// typeError is serde's message about a value of the wrong type.
func typeError(content, section, key string, value any, want string) error {
	return valueError(content, section, key, wrongType(value, want))
}

// valueError points at the value of a key.
func valueError(content, section, key, problem string) error {
	row, column := locate(content, section, key)
	return tomlError(content, row, column, problem)
}
