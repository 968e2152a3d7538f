package main

// streamConfig asks for training on samples that are read one after the other.
type streamConfig struct {
	on     bool
	Buffer int `yaml:"buffer"`
}
