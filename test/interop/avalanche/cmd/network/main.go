// Command network starts nodes of AvalancheGo with dsmr-avalanche, loads them with `dsmr bench`,
// shows its live view, and ends with the summary line of `dsmr localnet --json` (docs/cli.md), to
// which it adds epochs_seen. Without a load it says where everything is, and stays until it is
// interrupted. tools/avalanche.sh runs it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	avalanche "dsmr.test/avalanche"
)

const (
	exitInternal    = 70
	exitUsage       = 64
	exitUnavailable = 69
	startTimeout    = 5 * time.Minute
	accountsCount   = 64
	exampleAccounts = 128
	balance         = 1_000_000_000_000
	// A P-Chain block so often: epochs are its heights, and on a network of one's own nobody else
	// makes any.
	pChainPause = 10 * time.Second
)

type options struct {
	nodes   int
	seconds int
	load    string
	rate    int
	txBytes int
	plane   string
	beta    int
	example string
}

func readOptions() (options, error) {
	var o options
	flag.IntVar(&o.nodes, "nodes", 5, "validators")
	flag.IntVar(&o.seconds, "seconds", 30, "how long the load lasts; none stays until Ctrl-C")
	flag.StringVar(&o.load, "load", "transfers", "transfers, opaque or none")
	flag.IntVar(&o.rate, "rate", 1000, "transactions a second")
	flag.IntVar(&o.txBytes, "tx-bytes", 512, "size of an opaque transaction")
	flag.StringVar(&o.plane, "plane", "direct", "direct; avalanche; avalanche-raised: with AvalancheGo's throttles raised")
	flag.IntVar(&o.beta, "beta", 0, "Snow's beta; 0: AvalancheGo's own")
	flag.StringVar(&o.example, "example", "", "a binary of AvalancheGo's xsvm: a chain of it is loaded afterwards")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return o, fmt.Errorf("%q is not understood", flag.Arg(0))
	case o.load != "transfers" && o.load != "opaque" && o.load != "none":
		return o, errors.New("--load must be transfers, opaque or none")
	case o.plane != "direct" && o.plane != "avalanche" && o.plane != "avalanche-raised":
		return o, errors.New("--plane must be direct, avalanche or avalanche-raised")
	case o.nodes < 1 || o.nodes > 64 || o.seconds < 1 || o.rate < 1:
		return o, errors.New("--nodes must be 1 to 64, --seconds and --rate at least 1")
	}
	return o, nil
}

func main() {
	o, err := readOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(exitUsage)
	}
	code, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
	}
	os.Exit(code)
}

func run(o options) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := os.Getenv("DSMR_WORK_DIR")
	keys := filepath.Join(work, "accounts")
	accounts, err := avalanche.NewAccounts(accountsCount)
	if err != nil {
		return exitInternal, err
	}
	if err := avalanche.WriteAccounts(keys, accounts); err != nil {
		return exitInternal, err
	}
	fmt.Fprintf(os.Stderr, "starting %d nodes of AvalancheGo in %s\n", o.nodes, work)
	begin := time.Now()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	described, example, err := spec(o, work, accounts)
	if err != nil {
		return exitInternal, err
	}
	net, err := avalanche.Start(starting, described)
	if net != nil {
		defer func() {
			if closing := net.Close(); closing != nil && code == 0 {
				code, err = exitInternal, closing
			}
		}()
	}
	if err != nil {
		return exitUnavailable, fmt.Errorf("the network does not start: %w", err)
	}
	fmt.Fprintf(os.Stderr, "chain %s on %d nodes after %.1f s\n", net.Chains[0].ID, o.nodes,
		time.Since(begin).Seconds())
	if o.load == "none" {
		return stay(ctx, net, keys)
	}
	code, err = load(ctx, net, o, keys)
	if example != nil && err == nil && code == 0 {
		example.Chain = net.Chains[1]
		err = loadExample(ctx, example, time.Duration(o.seconds)*time.Second)
		if err != nil {
			code = exitInternal
		}
	}
	return code, err
}

func spec(o options, work string, accounts []avalanche.Account) (avalanche.Spec, *avalanche.Example, error) {
	app := map[string]any{"name": "opaque"}
	if o.load != "opaque" {
		app = avalanche.TransfersApp(accounts, balance)
	}
	chainConfig := map[string]any{"http_listen": "127.0.0.1:0", "submit_listen": "127.0.0.1:0"}
	flags := map[string]string{}
	if o.load != "none" {
		// AvalancheGo's own: under load half a second, as in tests, loses requests and polls.
		flags["network-initial-timeout"] = "2s"
		flags["network-minimum-timeout"] = "2s"
	}
	plane, isRaised := strings.CutSuffix(o.plane, "-raised")
	chainConfig["data_plane"] = plane
	if isRaised {
		const limit = 1_000_000_000
		chainConfig["peer_bytes_per_s"] = limit
		chainConfig["peer_burst_bytes"] = limit
		flags["throttler-inbound-bandwidth-refill-rate"] = fmt.Sprint(limit)
		flags["throttler-inbound-bandwidth-max-burst-size"] = fmt.Sprint(limit)
		flags["network-compression-type"] = "none"
	}
	described := avalanche.Spec{
		Nodes:       o.nodes,
		AvalancheGo: os.Getenv("DSMR_AVALANCHEGO"),
		Plugin:      os.Getenv("DSMR_PLUGIN"),
		Dir:         work,
		Chains:      []avalanche.ChainSpec{{Genesis: avalanche.Genesis(app, nil), Config: chainConfig}},
		Beta:        o.beta,
		Flags:       flags,
	}
	if o.example == "" {
		return described, nil, nil
	}
	example, chain, err := avalanche.NewExample(exampleAccounts)
	described.Chains = append(described.Chains, chain)
	described.Others = map[string]string{avalanche.ExampleVM: o.example}
	return described, example, err
}

// loadExample prints two lines: one account that sends a transfer after the other, and all accounts.
func loadExample(ctx context.Context, example *avalanche.Example, lasts time.Duration) error {
	for _, accounts := range []int{1, exampleAccounts} {
		pause := 5 * time.Millisecond
		if accounts > 1 {
			pause = 100 * time.Millisecond
		}
		result, err := example.Load(ctx, accounts, lasts, pause)
		if err != nil {
			return fmt.Errorf("the example: %w", err)
		}
		line := map[string]any{"event": "example", "vm": avalanche.ExampleVM, "accounts": accounts,
			"accepted": result.Accepted, "blocks": result.Blocks, "seconds": result.Seconds,
			"accepted_tx_per_s": float64(result.Accepted) / result.Seconds,
			"p50_ms":            result.P50.Milliseconds(), "p99_ms": result.P99.Milliseconds()}
		text, err := json.Marshal(line)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	}
	return nil
}

// stay says where everything is, and waits for the end.
func stay(ctx context.Context, net *avalanche.Net, keys string) (int, error) {
	chain := net.Chains[0]
	text := fmt.Sprintf("%d validators, accounts in %s\n", len(net.Nodes), keys)
	for i := range net.Nodes {
		ports, err := chain.Ports(i)
		if err != nil {
			return exitInternal, err
		}
		text += fmt.Sprintf("  node%d  %s  http://127.0.0.1:%d  submit stream 127.0.0.1:%d  pid %d\n", i,
			chain.URL(i, ""), ports.HTTP, ports.Submit, ports.Pid)
	}
	fmt.Print(text)
	done := make(chan struct{})
	epochs := watchEpochs(done, net)
	<-ctx.Done()
	close(done)
	<-epochs
	return 0, nil
}

// load runs `dsmr bench` on all nodes and prints its summary.
func load(ctx context.Context, net *avalanche.Net, o options, keys string) (int, error) {
	chain := net.Chains[0]
	var nodes []string
	for i := range net.Nodes {
		ports, err := chain.Ports(i)
		if err != nil {
			return exitInternal, err
		}
		nodes = append(nodes, fmt.Sprintf("127.0.0.1:%d:%d:%d", ports.HTTP, ports.Submit, ports.Pid))
	}
	bench := exec.Command(filepath.Join(os.Getenv("DSMR_BIN"), "dsmr"), "bench",
		"--nodes", strings.Join(nodes, ","), "--load", o.load, "--rate", fmt.Sprint(o.rate),
		"--tx-bytes", fmt.Sprint(o.txBytes), "--duration", fmt.Sprintf("%ds", o.seconds),
		"--keys", keys, "--verify", "--json", "--view")
	bench.Stderr = os.Stderr
	out, err := bench.StdoutPipe()
	if err != nil {
		return exitInternal, err
	}
	if err := bench.Start(); err != nil {
		return exitInternal, err
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done(): // it sums up what there was
			_ = bench.Process.Signal(os.Interrupt)
		case <-done:
		}
	}()
	epochs := watchEpochs(done, net)
	summary, err := readSummary(out)
	waited := bench.Wait()
	close(done)
	var exit *exec.ExitError
	if waited != nil && !errors.As(waited, &exit) {
		return exitInternal, waited
	}
	if summary == "" {
		return max(bench.ProcessState.ExitCode(), 1), err
	}
	fmt.Printf("%s,\"epochs_seen\":%d}\n", strings.TrimSuffix(summary, "}"), <-epochs)
	return bench.ProcessState.ExitCode(), nil
}

// watchEpochs counts the epochs of the chain's last accepted blocks until done, while it lets the
// P-Chain grow.
func watchEpochs(done <-chan struct{}, net *avalanche.Net) <-chan int {
	result := make(chan int, 1)
	go func() {
		seen := map[uint64]bool{}
		look := time.NewTicker(time.Second)
		defer look.Stop()
		grow := time.NewTicker(pChainPause)
		defer grow.Stop()
		for {
			if status, err := net.Chains[0].Status(0); err == nil && status.Epoch.IsSet {
				seen[status.Epoch.Value] = true
			}
			select {
			case <-done:
				result <- len(seen)
				return
			case <-look.C:
			case <-grow.C:
				ctx, cancel := context.WithTimeout(context.Background(), pChainPause)
				_ = net.BumpPChain(ctx, 0) // one that is missing costs an epoch, no more
				cancel()
			}
		}
	}()
	return result
}

// readSummary passes the lines on but the last, which it gives back; empty if there is none.
func readSummary(out io.Reader) (string, error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var line struct {
			Event string `json:"event"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return "", fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if line.Event == "summary" {
			return lines.Text(), nil
		}
		fmt.Println(lines.Text())
	}
	return "", lines.Err()
}
