package avalanche

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func opaque(t *testing.T) string {
	tx := make([]byte, 64)
	if _, err := rand.Read(tx); err != nil {
		t.Fatal(err)
	}
	tx[0] = 1
	binary.BigEndian.PutUint64(tx[1:], uint64(time.Now().Add(20*time.Second).UnixMilli()))
	return hex.EncodeToString(tx)
}

func TestFirst(t *testing.T) {
	nodes, _ := strconv.Atoi(os.Getenv("NODES"))
	dir := os.Getenv("NETDIR")
	if dir == "" {
		dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	net, err := Start(ctx, Spec{
		Nodes: max(nodes, 2), AvalancheGo: os.Getenv("AVALANCHEGO"), Plugin: os.Getenv("PLUGIN"), Dir: dir,
		Genesis: Genesis(map[string]any{"name": "opaque"}),
		Config:  map[string]any{"data_plane": os.Getenv("PLANE"), "http_listen": "127.0.0.1:0", "submit_listen": "127.0.0.1:0"},
	})
	if net != nil {
		t.Cleanup(func() { net.Close() })
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		start := time.Now()
		answer, err := net.Post(i%len(net.Nodes), "/v1/tx?mode=executed", map[string]any{"tx": opaque(t)})
		t.Logf("%d %.3fs %v %v", i, time.Since(start).Seconds(), answer, err)
	}
	if rate := os.Getenv("RATE"); rate != "" {
		var list []string
		for _, node := range net.Nodes {
			text, err := os.ReadFile(filepath.Join(node.DataDir, "chainData", net.ChainID.String(), "ports.json"))
			if err != nil {
				t.Fatal(err)
			}
			var ports struct{ Http_port, Submit_port int }
			json.Unmarshal(text, &ports)
			list = append(list, fmt.Sprintf("127.0.0.1:%d:%d", ports.Http_port, ports.Submit_port))
		}
		out, err := exec.Command(os.Getenv("DSMR"), "bench", "--nodes", strings.Join(list, ","), "--load", "opaque", "--rate", rate, "--duration", "10s", "--json").CombinedOutput()
		t.Logf("%s %v", out, err)
	}
	for i := range net.Nodes {
		answer, err := net.Get(i, "/v1/status")
		t.Logf("%v %v", answer, err)
	}
}
