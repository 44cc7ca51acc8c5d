package job_test

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/job"
)

const (
	mcRounds = 3
	// leastOfMC is how fast a Job has to be at least, where `mc cp` of the same files to the same server is 1.
	leastOfMC = 0.8
	// jobMemoryMiB is what the Job's container may have.
	jobMemoryMiB = 128
)

// BenchmarkAGibibyteBesideMC makes a backup of 16 tables of 64 MiB, and copies files of the same content with MinIO's own client to the same MinIO, alternately and three times over, over TLS as in
// life and in clear. It prints what each took, and fails where the median of the ratios, or the Job's memory, misses its target. Both times are those of whole processes. The agent, which elsewhere
// has a machine of its own, is in the benchmark's process.
func BenchmarkAGibibyteBesideMC(b *testing.B) {
	minio, mc := built(b, "minio"), built(b, "mc")
	var sizes []int64
	for range 16 {
		sizes = append(sizes, 64<<20)
	}
	files := b.TempDir()
	for i, size := range sizes {
		writeFile(b, filepath.Join(files, fmt.Sprintf("%06d.sst", 200+i)), table(i, size).at(0))
	}
	for name, secure := range map[string]bool{"TLS": true, "in clear": false} {
		b.Run(name, func(b *testing.B) {
			w := bulk(b, sizes)
			s := startMinIO(b, minio, secure)
			m := mcClient{s, mc, b.TempDir()}
			m.trust(b)
			m.run(b, "mb", "bench/backups")
			d := &w.request.Destination
			d.Endpoint, d.Bucket, d.Region, d.PrivateCA = s.url, "backups", "us-east-1", secure
			put(b, w.root, job.CAFile, s.authority)
			w.secret("accessKey", s.accessKey)
			w.secret("secretKey", s.secretKey)
			for b.Loop() {
				besideMC(b, w, m, files, sizes)
			}
		})
	}
}

func besideMC(b *testing.B, w *world, m mcClient, files string, sizes []int64) {
	b.Helper()
	var ratios []float64
	var peakMiB int64
	for round := range mcRounds {
		w.request.Destination.Prefix = fmt.Sprintf("job/%d", round)
		r := w.take("bench", time.Now().UTC().Truncate(time.Second))
		r.Take.Verification = archive.Checksum
		w.agent.with(func(a *fakeAgent) { a.released = 0 })
		var took, theirs time.Duration
		var out childOutput
		work := []func(){
			func() {
				began := time.Now()
				out = child(b, "job", childInput{Root: w.root, Request: r})
				took = time.Since(began)
			},
			func() {
				began := time.Now()
				m.run(b, "cp", "--recursive", "--quiet", files+"/", fmt.Sprintf("bench/backups/mc/%d/", round))
				theirs = time.Since(began)
			},
		}
		if round%2 == 1 {
			slices.Reverse(work)
		}
		for _, do := range work {
			do()
		}
		if out.Result.UploadedBytes < 1<<30 {
			b.Fatalf("only %d bytes were uploaded", out.Result.UploadedBytes)
		}
		m.run(b, "rm", "--recursive", "--force", "--quiet", "bench/backups/")
		ratio := theirs.Seconds() / took.Seconds()
		ratios = append(ratios, ratio)
		peakMiB = max(peakMiB, out.PeakKiB>>10)
		total := float64(int64(len(sizes))*sizes[0]) / (1 << 20)
		b.Logf("round %d: Job %.0f MiB/s, mc cp %.0f MiB/s, ratio %.2f; the Job took %.2f s of processor time and %d MiB at most", round+1,
			total/took.Seconds(), total/theirs.Seconds(), ratio, out.CPU.Seconds(), out.PeakKiB>>10)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	b.ReportMetric(median, "x_of_mc")
	b.ReportMetric(float64(peakMiB), "peak_MiB")
	b.ReportMetric(0, "ns/op") // says nothing: it is the time of both
	if median < leastOfMC || peakMiB >= jobMemoryMiB {
		b.Errorf("%.2f of mc cp, target at least %.1f; peak of %d MiB, target below %d: MISSED", median, leastOfMC, peakMiB, jobMemoryMiB)
	}
}

// built is a program that the bed has compiled; without it the benchmark is skipped.
func built(b *testing.B, name string) string {
	b.Helper()
	user, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	cache := cmp.Or(os.Getenv("BED_CACHE"), filepath.Join(cmp.Or(os.Getenv("ROBUSTMQ_OPERATOR_CACHE"), filepath.Join(user, "robustmq-operator")), "bed"))
	found, err := filepath.Glob(filepath.Join(cache, "minio-*", name))
	if err != nil || len(found) == 0 {
		b.Skipf("the bed has not built %s: test/bed/bed up && test/bed/bed minio && test/bed/bed mc ls minio", name)
	}
	return found[len(found)-1]
}

func writeFile(b *testing.B, name string, content io.Reader) {
	b.Helper()
	f, err := os.Create(name)
	if err == nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// minioServer is one that runs.
type minioServer struct {
	url, address, accessKey, secretKey string
	authority                          []byte // of its certificate, in PEM
	pid                                int
}

// cpu is the processor time that it took so far.
func (s minioServer) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks int64 // of user and kernel, in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK))
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func startMinIO(b *testing.B, program string, secure bool) minioServer {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := minioServer{address: l.Addr().String(), accessKey: "bench", secretKey: secretKey}
	l.Close()
	s.url = "http://" + s.address
	certs := b.TempDir()
	if secure {
		var key []byte
		s.url = "https://" + s.address
		s.authority, key = certificate(b)
		put(b, certs, "public.crt", s.authority)
		put(b, certs, "private.key", key)
	}
	cmd := exec.Command(program, "server", "--quiet", "--address", s.address, "--certs-dir", certs, b.TempDir()) // ended by the clean-up
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.accessKey, "MINIO_ROOT_PASSWORD="+s.secretKey, "MINIO_UPDATE=off", "MINIO_BROWSER=off")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	b.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, DisableKeepAlives: true}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		r, err := client.Get(s.url + "/minio/health/ready")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(deadline) {
			b.Fatalf("MinIO does not answer: %v\n%s", err, &log)
		}
	}
}

// certificate of 127.0.0.1 that signs itself, and its key, in PEM.
func certificate(b *testing.B) (cert, key []byte) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		b.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// mcClient is MinIO's own client; its alias of the server is "bench".
type mcClient struct {
	server  minioServer
	program string
	config  string // its folder
}

func (m mcClient) trust(b *testing.B) {
	b.Helper()
	if len(m.server.authority) > 0 {
		put(b, m.config, "certs/CAs/ca.crt", m.server.authority)
	}
}

func (m mcClient) run(b *testing.B, args ...string) {
	b.Helper()
	if _, err := m.try(b, args...); err != nil {
		b.Fatal(err)
	}
}

// try says what processor time it took.
func (m mcClient) try(b *testing.B, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(b.Context(), m.program, append([]string{"--config-dir", m.config}, args...)...)
	scheme := "http"
	if len(m.server.authority) > 0 {
		scheme = "https"
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("MC_HOST_bench=%s://%s:%s@%s", scheme, m.server.accessKey, m.server.secretKey, m.server.address))
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("mc %v: %w\n%s", args, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
