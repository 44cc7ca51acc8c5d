package live

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// DialPod opens a TCP connection to a port of a pod: straight to its address, or as `kubectl port-forward` does. Like a Service it leads nobody to a pod that is being deleted, whose address may be gone.
func (k *Kubernetes) DialPod(ctx context.Context, pod client.ObjectKey, port int32) (net.Conn, error) {
	if !k.Direct {
		return k.forward(ctx, pod, port)
	}
	address, err := k.addressOf(ctx, pod)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", pod.Name, err)
	}
	return conn, nil
}

// addressFresh is how long a pod's address is taken for what it was: a Service is slower to follow. Clients that never stop, and ask for it with every call, would be most of what the API server has to do.
const addressFresh = 250 * time.Millisecond

type knownAddress struct {
	address string
	at      time.Time
}

func (k *Kubernetes) addressOf(ctx context.Context, pod client.ObjectKey) (string, error) {
	if known, ok := k.addresses.Load(pod); ok && time.Since(known.(knownAddress).at) < addressFresh {
		return known.(knownAddress).address, nil
	}
	at := time.Now()
	var p corev1.Pod
	if err := k.Get(ctx, pod, &p); err != nil {
		return "", fmt.Errorf("looking for pod %s: %w", pod.Name, err)
	}
	if p.DeletionTimestamp != nil {
		return "", fmt.Errorf("pod %s is being deleted", pod.Name)
	}
	if p.Status.PodIP == "" {
		return "", fmt.Errorf("pod %s has no address yet", pod.Name)
	}
	k.addresses.Store(pod, knownAddress{p.Status.PodIP, at})
	return p.Status.PodIP, nil
}

// forwarded is a connection to the local end of a port-forward; closing it ends the forwarding.
type forwarded struct {
	net.Conn
	stop chan struct{}
}

func (f forwarded) Close() error {
	err := f.Conn.Close()
	close(f.stop)
	return err
}

func (k *Kubernetes) forward(ctx context.Context, pod client.ObjectKey, port int32) (net.Conn, error) {
	transport, upgrader, err := spdy.RoundTripperFor(k.Config)
	if err != nil {
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, err)
	}
	url := k.clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	stop, ready, failed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	fw, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, err)
	}
	go func() { failed <- fw.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, err)
	case <-ctx.Done():
		close(stop)
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, ctx.Err())
	}
	ports, err := fw.GetPorts()
	if err != nil {
		close(stop)
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local))))
	if err != nil {
		close(stop)
		return nil, fmt.Errorf("port-forward to %s: %w", pod.Name, err)
	}
	return forwarded{Conn: conn, stop: stop}, nil
}
