package avalanche

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/ava-labs/avalanchego/proto/pb/vm/runtime"
)

const engineVariable = "AVALANCHE_VM_RUNTIME_ENGINE_ADDR"

// ---- the plugin by hand: sentences and exit codes (docs/avalanche.md) ----

func runPlugin(t *testing.T, program, engine string, args ...string) (code int, said string) {
	t.Helper()
	command := exec.CommandContext(patient(t), program, args...)
	command.Env = []string{}
	if engine != "" {
		command.Env = []string{engineVariable + "=" + engine}
	}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(output)
}

func TestPluginNoEngine(t *testing.T) {
	code, said := runPlugin(t, plugin, "")
	require.Equal(t, 64, code)
	require.Contains(t, said, engineVariable+" is not set")
	code, said = runPlugin(t, plugin, "127.0.0.1:1", "--help")
	require.Equal(t, 64, code)
	require.Contains(t, said, "takes no arguments")
	code, said = runPlugin(t, plugin, "", "--version")
	require.Zero(t, code)
	require.Contains(t, said, "RPCChainVM protocol 45")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	require.NoError(t, listener.Close())
	code, said = runPlugin(t, plugin, nobody)
	require.Equal(t, 69, code)
	require.Contains(t, said, "does not take this plugin")
}

// engine is what AvalancheGo answers a plugin first.
type engine struct {
	pb.UnimplementedRuntimeServer
	versions chan uint32
}

func (e *engine) Initialize(_ context.Context, request *pb.InitializeRequest) (*emptypb.Empty, error) {
	e.versions <- request.ProtocolVersion
	if request.ProtocolVersion != 45 {
		return nil, errors.New("RPCChainVM protocol version mismatch")
	}
	return &emptypb.Empty{}, nil
}

func startEngine(t *testing.T) (*engine, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, own := grpc.NewServer(), &engine{versions: make(chan uint32, 8)}
	pb.RegisterRuntimeServer(server, own)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return own, listener.Addr().String()
}

func TestPluginRefused(t *testing.T) {
	engine, address := startEngine(t)
	code, said := runPlugin(t, otherPlugin, address)
	require.Equal(t, uint32(44), <-engine.versions)
	require.Equal(t, 78, code)
	require.Contains(t, said, "mismatch")
}

// The plugin's parent is killed by force. It ends by itself, with code 0; before, signals that are
// meant for AvalancheGo did not end it.
func TestPluginVanishedParent(t *testing.T) {
	engine, address := startEngine(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	out := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command("/bin/sh", "-c", `"$0" & echo $! >"$1.new"; mv "$1.new" "$1"; wait`, plugin, out)
	parent.Env = []string{engineVariable + "=" + address}
	require.NoError(t, parent.Start())
	require.Equal(t, uint32(45), <-engine.versions)
	var pid int
	require.NoError(t, wait(patient(t), func() error {
		text, err := os.ReadFile(out)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err
	}))
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	require.NoError(t, syscall.Kill(pid, syscall.SIGINT))
	require.True(t, IsRunning(pid))
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	var status syscall.WaitStatus
	waited, err := syscall.Wait4(pid, &status, 0, nil)
	require.NoError(t, err)
	require.Equal(t, pid, waited)
	require.True(t, status.Exited(), "%v", status)
	require.Zero(t, status.ExitStatus())
}
