package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// Configurations are what an operator's webhooks are asked about.
type Configurations struct {
	Mutating   *admissionregistrationv1.MutatingWebhookConfiguration
	Validating *admissionregistrationv1.ValidatingWebhookConfiguration
}

// Installed are the configurations of config/webhook as config/default installs them, for webhooks at a port of this machine: there is no network of pods, so the API server calls a URL
// where it would call a Service.
func (s *Server) Installed(port int) (*Configurations, error) {
	out := &Configurations{}
	err := EachDocument(filepath.Join(s.root, "config", "webhook"), func(u *unstructured.Unstructured) error {
		switch u.GetKind() {
		case "MutatingWebhookConfiguration":
			out.Mutating = &admissionregistrationv1.MutatingWebhookConfiguration{}
			return read(u, out.Mutating)
		case "ValidatingWebhookConfiguration":
			out.Validating = &admissionregistrationv1.ValidatingWebhookConfiguration{}
			return read(u, out.Validating)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case out.Mutating == nil || out.Validating == nil:
		return nil, errors.New("config/webhook does not install one configuration of each kind")
	}
	out.at(port)
	return out, nil
}

// at makes the API server call a port of this machine.
func (c *Configurations) at(port int) {
	adapt := func(cc *admissionregistrationv1.WebhookClientConfig) {
		url := fmt.Sprintf("https://localhost:%d%s", port, *cc.Service.Path)
		*cc = admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	for i := range c.Mutating.Webhooks {
		adapt(&c.Mutating.Webhooks[i].ClientConfig)
	}
	for i := range c.Validating.Webhooks {
		adapt(&c.Validating.Webhooks[i].ClientConfig)
	}
}

func read(u *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, into, true)
}

// EachDocument visits what the kustomization of a folder lists.
func EachDocument(folder string, visit func(*unstructured.Unstructured) error) error {
	var kustomization struct{ Resources []string }
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err == nil {
		err = sigsyaml.Unmarshal(text, &kustomization)
	}
	if err != nil || len(kustomization.Resources) == 0 {
		return fmt.Errorf("%d resources in the kustomization of %s: %w", len(kustomization.Resources), folder, err)
	}
	for _, file := range kustomization.Resources {
		if err := eachOf(filepath.Join(folder, file), visit); err != nil {
			return err
		}
	}
	return nil
}

func eachOf(file string, visit func(*unstructured.Unstructured) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := documents.Decode(u)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && u.Object != nil {
			err = visit(u)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}
