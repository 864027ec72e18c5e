package avalanche

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cut is a node that is cut off from the others. Its connections to them, and those of its plugins,
// are shut down, and until Heal no new one comes into being: the sockets on which nodes and plugins
// listen for peers drop what arrives. Connections among the others stay. No process is stopped or
// told. The nodes must run without multipath TCP (GODEBUG=multipathtcp=0).
type Cut struct {
	listeners []descriptor
	Shut      int // connections that were shut down
}

type descriptor struct{ pid, fd int }

// CutOff begins. An error if this process may not touch the sockets of others.
func (n *Net) CutOff(ctx context.Context, place int) (*Cut, error) {
	cut := &Cut{}
	if err := cut.closeDoors(n); err != nil {
		return nil, errors.Join(err, cut.Heal())
	}
	// What is being accepted at this moment is found the next time.
	err := wait(ctx, func() error {
		found, err := cut.shutAll(n, place)
		if err == nil && found > 0 {
			err = fmt.Errorf("there were %d connections", found)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, cut.Heal())
	}
	return cut, nil
}

// Heal ends it.
func (c *Cut) Heal() error {
	var errs []error
	for _, listener := range c.listeners {
		errs = append(errs, listener.do(func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}))
	}
	c.listeners = nil
	return errors.Join(errs...)
}

// processes are a node's and its plugins', with the ports on which they listen for peers.
func (n *Net) processes(place int) (map[int]uint16, error) {
	pid, err := n.Pid(place)
	if err != nil {
		return nil, err
	}
	all := map[int]uint16{pid: n.Nodes[place].StakingAddress.Port()}
	for _, chain := range n.Chains {
		ports, err := chain.Ports(place)
		if err != nil {
			return nil, err
		}
		all[ports.Pid] = ports.Direct
	}
	return all, nil
}

func (c *Cut) closeDoors(n *Net) error {
	sockets, err := tcpSockets()
	if err != nil {
		return err
	}
	for place := range n.Nodes {
		processes, err := n.processes(place)
		if err != nil {
			return err
		}
		for pid, port := range processes {
			for inode, fd := range descriptors(pid) {
				socket, ok := sockets[inode]
				if !ok || !socket.listens || port == 0 ||
					!strings.HasSuffix(socket.local, fmt.Sprintf(":%04X", port)) {
					continue
				}
				listener := descriptor{pid, fd}
				if err := listener.do(dropAll); err != nil {
					return err
				}
				c.listeners = append(c.listeners, listener)
			}
		}
	}
	return nil
}

func (c *Cut) shutAll(n *Net, cut int) (found int, err error) {
	sockets, err := tcpSockets()
	if err != nil {
		return 0, err
	}
	foreign := map[string]bool{} // addresses of the other nodes' ends
	for place := range n.Nodes {
		processes, err := n.processes(place)
		if err != nil {
			return 0, err
		}
		for pid := range processes {
			for inode := range descriptors(pid) {
				if socket, ok := sockets[inode]; ok && place != cut {
					foreign[socket.local] = true
				}
			}
		}
	}
	processes, err := n.processes(cut)
	if err != nil {
		return 0, err
	}
	for pid := range processes {
		for inode, fd := range descriptors(pid) {
			socket, ok := sockets[inode]
			if !ok || socket.listens || !foreign[socket.remote] {
				continue
			}
			err := descriptor{pid, fd}.do(func(fd int) error {
				_ = unix.Shutdown(fd, unix.SHUT_RDWR) // not connected any more, at worst
				return nil
			})
			if err != nil {
				return 0, err
			}
			found++
		}
	}
	c.Shut += found
	return found, nil
}

type socket struct {
	local, remote string // hexadecimal address and port
	listens       bool
}

// tcpSockets are this machine's sockets over IPv4 that listen or are connected, by inode.
func tcpSockets() (map[string]socket, error) {
	file, err := os.Open("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const established, listen = "01", "0A"
	sockets := map[string]socket{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && (fields[3] == established || fields[3] == listen) {
			sockets[fields[9]] = socket{fields[1], fields[2], fields[3] == listen}
		}
	}
	return sockets, lines.Err()
}

// descriptors are a process's sockets: inode to descriptor.
func descriptors(pid int) map[string]int {
	found := map[string]int{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir) // one that has just ended has none
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		fd, bad := strconv.Atoi(entry.Name())
		if err == nil && bad == nil && isSocket {
			found[strings.TrimSuffix(inode, "]")] = fd
		}
	}
	return found
}

// do borrows a descriptor of another process. One that is gone is left alone.
func (d descriptor) do(with func(fd int) error) error {
	process, err := unix.PidfdOpen(d.pid, 0)
	if err == unix.ESRCH {
		return nil
	} else if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(process)
	own, err := unix.PidfdGetfd(process, d.fd, 0)
	if err == unix.EBADF || err == unix.ESRCH {
		return nil
	} else if err != nil {
		return fmt.Errorf("pidfd_getfd: %w", err)
	}
	defer unix.Close(own)
	return with(own)
}

// dropAll lets a socket drop every packet.
func dropAll(fd int) error {
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	program := unix.SockFprog{Len: 1, Filter: (*unix.SockFilter)(unsafe.Pointer(&drop))}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
}
