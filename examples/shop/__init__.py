"""A shop that answers its customers through Tencent Cloud Desk: what an integrator of Deskbell writes."""
