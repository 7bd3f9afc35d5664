// A tiny task and a channel as its future for each of 100 000 numbers; two goroutines.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	tasks   = 100000
	sum     = tasks * (tasks + 1) * (2*tasks + 1) / 6
	workers = 2
	ahead   = 1024
	warmups = 2
	samples = 5
)

type task struct {
	argument int
	future   chan int
}

func work(queue chan task) {
	for t := range queue {
		t.future <- t.argument * t.argument
	}
}

func round(queue chan task) float64 {
	started := time.Now()
	futures := make([]chan int, tasks)
	for i := range futures {
		futures[i] = make(chan int, 1)
		queue <- task{i + 1, futures[i]}
	}
	total := 0
	for _, future := range futures {
		total += <-future
	}
	seconds := time.Since(started).Seconds()
	if total != sum {
		fmt.Fprintln(os.Stderr, "wrong sum of the squares:", total)
		os.Exit(1)
	}
	return tasks / seconds / 1e6
}

func main() {
	queue := make(chan task, ahead)
	for i := 0; i < workers; i++ {
		go work(queue)
	}
	fmt.Print("go rate_M/s")
	for i := 0; i < warmups+samples; i++ {
		runtime.GC()
		if rate := round(queue); i >= warmups {
			fmt.Printf(" %.6g", rate)
		}
	}
	fmt.Println()
}
