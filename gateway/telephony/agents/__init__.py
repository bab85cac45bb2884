"""What agents and queues do now.

sockets' queue.watch, hello, rest ─▶ wallboard (queues), agents (agents) ─▶ queries ─▶ QueueLive,
AgentState. on_call corrects presence: it shows who is on a call.
"""
