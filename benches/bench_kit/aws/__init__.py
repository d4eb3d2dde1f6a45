"""The unmodified release binary before moto (https://docs.getmoto.org), which speaks AWS's APIs."""
