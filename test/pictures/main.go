// pictures draws Grafana dashboards without Grafana: it asks a Prometheus for what each panel shows and puts the panels where Grafana does, so that a page of documentation shows what one gets.
//
//	pictures -namespace NS -cluster NAME [-prometheus URL] [-dashboards DIR] [-out DIR] [-for 30m] [-until TIME] [-complete] [NAME...]
//
// It reads DIR/*.json (docs/dashboards, of this folder or of one above) and writes NAME.png for each to -out, or beside them. Every expression is a line on standard output: dashboard, panel, how many series came, and the expression. With -complete it
// ends with 1 if one of them returned nothing. Prometheus is asked and nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("pictures: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, time.Now()); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer, now time.Time) error {
	flags := flag.NewFlagSet("pictures", flag.ContinueOnError)
	address := flags.String("prometheus", "http://127.0.0.1:9090", "the Prometheus to ask")
	boards := flags.String("dashboards", "", "folder of the dashboards; empty: docs/dashboards, of this folder or of one above")
	into := flags.String("out", "", "folder for the pictures; empty: that of the dashboards")
	namespace := flags.String("namespace", "", "namespace of the cluster that is shown")
	cluster := flags.String("cluster", "", "name of the cluster that is shown")
	span := flags.Duration("for", 30*time.Minute, "the time that is shown")
	until := flags.String("until", "", "the end of the time that is shown, as 2026-11-27T02:00:00Z; empty: now")
	scrape := flags.Duration("interval", 30*time.Second, "how often Prometheus scrapes")
	complete := flags.Bool("complete", false, "every expression has to return something")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *namespace == "" || *cluster == "" {
		return errors.New("-namespace and -cluster say what is shown")
	}
	if *span < time.Minute || *scrape <= 0 {
		return errors.New("-for is at least 1m, -interval more than 0s")
	}
	end := now
	if *until != "" {
		var err error
		if end, err = time.Parse(time.RFC3339, *until); err != nil {
			return fmt.Errorf("-until: %w", err)
		}
	}
	if *boards == "" {
		*boards = above("docs/dashboards")
	}
	if *into == "" {
		*into = *boards
	}
	files, err := filepath.Glob(filepath.Join(*boards, "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no dashboards in %s (%w)", *boards, err)
	}
	source, err := open(*address)
	if err != nil {
		return err
	}
	shown := view{Namespace: *namespace, Cluster: *cluster, From: end.Add(-*span), To: end, Scrape: *scrape}
	empty := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), name) {
			continue
		}
		b, err := readBoard(file)
		if err != nil {
			return err
		}
		answers, err := b.ask(ctx, source, shown)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		empty += report(out, name, b, answers)
		if err := writePicture(filepath.Join(*into, name+".png"), b, answers, shown); err != nil {
			return err
		}
	}
	if *complete && empty > 0 {
		return fmt.Errorf("%d expressions returned nothing", empty)
	}
	return nil
}

// above is the nearest folder of a name, from here upwards; the name itself if there is none.
func above(name string) string {
	for dir := name; ; dir = filepath.Join("..", dir) {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		if there, err := filepath.Abs(strings.TrimSuffix(dir, name)); err != nil || there == filepath.Dir(there) {
			return name
		}
	}
}

// report writes a line for each expression, and counts those that returned nothing.
func report(out io.Writer, name string, b board, answers map[int][]answer) (empty int) {
	for _, p := range b.Panels {
		for _, a := range answers[p.ID] {
			if len(a.series) == 0 {
				empty++
			}
			fmt.Fprintf(out, "%s\t%s / %s\t%d\t%s\n", name, p.row, p.Title, len(a.series), a.target.Expr)
		}
	}
	return empty
}
