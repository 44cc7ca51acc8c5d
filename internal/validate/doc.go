// Package validate judges manifests as an API server would before it stores them, without one: it reads them within bounds, and holds them to the schema, defaults and CEL of our definitions.
package validate
