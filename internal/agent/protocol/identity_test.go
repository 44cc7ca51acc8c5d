package protocol

import "testing"

func TestOnlyAClientOfTheOwnClusterIsRecognised(t *testing.T) {
	for _, kind := range []ClientKind{ClientOperator, ClientAgent, ClientJob} {
		if got, ok := ParseClientURI("ns", "demo", ClientURI("ns", "demo", kind)); !ok || got != kind {
			t.Errorf("%s: %q, %v", kind, got, ok)
		}
	}
	for _, uri := range []string{
		"", "spiffe://robustmq.io/ns/demo/", "spiffe://robustmq.io/ns/demo/root", "spiffe://robustmq.io/ns/demo2/operator", "spiffe://robustmq.io/ns2/demo/operator",
		"spiffe://robustmq.io/ns/demo/operator/x", "spiffe://example.org/ns/demo/operator", "https://robustmq.io/ns/demo/operator",
	} {
		if got, ok := ParseClientURI("ns", "demo", uri); ok {
			t.Errorf("%q: %q", uri, got)
		}
	}
}

func FuzzParseClientURI(f *testing.F) {
	f.Add("ns", "demo", "spiffe://robustmq.io/ns/demo/agent")
	f.Fuzz(func(t *testing.T, namespace, cluster, uri string) {
		if kind, ok := ParseClientURI(namespace, cluster, uri); ok && ClientURI(namespace, cluster, kind) != uri {
			t.Errorf("%q is taken for %q", uri, kind)
		}
	})
}
